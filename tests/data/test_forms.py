"""Which form a path is in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.catalog import row_with
from fittingroom.data.forms import FORMS, form_of, idx_sha256
from fittingroom.data.reading import AS_THEY_ARE, Reading
from fittingroom.data.sources import load_dataset
from fittingroom.errors import DataError
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


def test_each_form_has_a_title_of_its_own() -> None:
    assert len({form.title for form in FORMS}) == len(FORMS)


def test_a_form_is_recognised_by_content(small: Path, tmp_path: Path) -> None:
    assert form_of(small).title == "the four IDX files of MNIST"
    with pytest.raises(DataError, match="holds no data set in a form that can be read"):
        form_of(tmp_path)
    with pytest.raises(DataError, match="absent doesn't exist"):
        form_of(tmp_path / "absent")


def test_labels_that_no_idx_file_could_hold_have_no_hash(small: Path) -> None:
    read = form_of(small).read(small, AS_THEY_ARE)
    labels = idx_sha256(read, "t10k-labels-idx1-ubyte")
    assert len(labels) == 64
    test = read.parts["test"]
    for wrong in (test.labels.astype(int) - 1, test.labels.astype(str)):
        other = Reading({**read.parts, "test": test._replace(labels=wrong)})
        assert idx_sha256(other, "t10k-labels-idx1-ubyte") == ""
    assert row_with(lambda name: idx_sha256(read, name)) is None


def test_a_comparison_of_a_file_is_of_the_same_data(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fits read a copy as IDX files, so that none of them parses it again."""
    import fittingroom

    data = load_dataset(small)
    path = tmp_path / "garments.npz"
    np.savez(
        path,
        x_train=data.train.images,
        y_train=data.train.labels,
        x_test=data.test.images,
        y_test=data.test.labels,
    )
    monkeypatch.chdir(tmp_path)
    board = fittingroom.compare(path, ["knn"], n_seeds=1)
    loaded = load_dataset(path)
    here = fit(spec_of(loaded, "knn"), loaded, open_store(tmp_path / "here", loaded))
    assert board["knn"].test is not None
    assert here.test is not None
    assert board["knn"].test.accuracy == here.test.correct.mean()
    assert board.dataset_sha256 == loaded.sha256
    assert fittingroom.report("runs").result.board.dataset_name == "garments"
