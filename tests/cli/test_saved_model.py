"""saved_model.py: the model that an argument of a command names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fittingroom.cli.saved_model import find_saved_model
from fittingroom.errors import StoreError, UnknownNameError


def test_a_name_or_a_folder_means_a_run(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(run)
    for name, note in (("logistic", f"logistic, seed 0: {folder}\n"), (run, "")):
        found, its_run = find_saved_model(name, folder.parents[2])
        assert found == folder / "model"
        assert its_run is not None
        assert its_run.folder == folder
        assert capsys.readouterr() == ("", note)


def test_a_folder_without_a_run_is_a_mere_bundle(run: str, tmp_path: Path) -> None:
    bundle = shutil.copytree(Path(run) / "model", tmp_path / "bundle")
    assert find_saved_model(str(bundle), tmp_path) == (bundle, None)


def test_what_names_nothing_is_one_sentence(run: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean logistic"):
        find_saved_model("logistics", Path(run).parents[2])
    with pytest.raises(StoreError, match=r"knn doesn't exist, and .*no saved runs"):
        find_saved_model("knn", tmp_path / "absent")
