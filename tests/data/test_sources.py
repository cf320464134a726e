from __future__ import annotations

import gzip
import json
import logging
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fittingroom.data import DATASETS, Dataset, idx, load_dataset, sources
from fittingroom.data.catalog import DIGITS, DatasetRow, row_of_content
from fittingroom.data.places import SEARCH_PATH, Place, SearchPath
from fittingroom.data.sources import find_again, find_dataset
from fittingroom.errors import DataError, InputError, UnknownNameError, UsageError
from fittingroom.formatting import with_tilde

IMAGES, LABELS = idx.TRAIN_IMAGES, idx.TRAIN_LABELS
pytestmark = pytest.mark.usefixtures("lonely")


def only(folder: Path, *, ours: bool = True) -> SearchPath:
    target = folder.parent / "target"
    return SearchPath((Place("here", lambda _: [folder], ours),), (), lambda _: target)


OFFLINE = replace(SEARCH_PATH, fetchers=())


# By name


def test_the_first_place_that_holds_the_files_wins(
    small: Path, row: DatasetRow, lonely: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITTINGROOM_DATA", str(lonely / "data"))
    monkeypatch.setenv("KERAS_HOME", str(lonely / "keras-home"))
    (lonely / "data").mkdir()
    in_order = [
        ("FITTINGROOM_DATA", lonely / "data" / "fashion-mnist"),
        ("FITTINGROOM_DATA", lonely / "data"),
        ("cache", lonely / ".cache" / "fittingroom" / "fashion-mnist"),
        ("Keras", lonely / "keras-home" / "datasets" / "fashion-mnist"),
        ("Keras", lonely / ".keras" / "datasets" / "fashion-mnist"),
        ("torchvision", lonely / "data" / "FashionMNIST" / "raw"),
    ]
    for _, folder in in_order:
        shutil.copytree(small, folder, dirs_exist_ok=True)
    for title, folder in in_order:
        dataset = find_dataset(row, OFFLINE)
        assert dataset.location == folder
        assert title in dataset.source
        assert dataset.source.endswith(f", {with_tilde(folder)}")
        assert dataset.name == "fashion-mnist"
        for file in folder.glob("*.gz"):
            file.unlink()
    with pytest.raises(DataError, match="in none of the known places"):
        find_dataset(row, OFFLINE)


def test_the_variable_must_name_a_folder(row: DatasetRow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITTINGROOM_DATA", "/no/such/folder")
    with pytest.raises(
        DataError, match="FITTINGROOM_DATA is '/no/such/folder', which isn't a folder"
    ):
        find_dataset(row, OFFLINE)


@pytest.mark.parametrize("ours", [True, False])
def test_other_content_is_refused_with_both_hashes(
    copy: Path, row: DatasetRow, ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    labels = idx.read_idx(copy / f"{LABELS}.gz", 1).copy()
    labels[0] = 9 - labels[0]
    (copy / f"{LABELS}.gz").unlink()
    idx.write_idx(copy / LABELS, labels)
    with pytest.raises(DataError) as refused:
        find_dataset(row, only(copy, ours=ours))
    message = str(refused.value) if ours else caplog.text
    for part in (idx.array_sha256(labels), row.sha256[LABELS], str(copy / LABELS), "fashion-mnist"):
        assert part in message
    if not ours:
        assert "in none of the known places" in str(refused.value)


def test_a_text_file_in_the_place_of_data_has_a_hash_too(copy: Path, row: DatasetRow) -> None:
    (copy / IMAGES).write_text("<!DOCTYPE html>")
    with pytest.raises(DataError) as refused:
        find_dataset(row, only(copy))
    assert idx.file_sha256(copy / IMAGES, 100) in str(refused.value)
    assert row.sha256[IMAGES] in str(refused.value)


def test_a_truncated_file_is_named(copy: Path, row: DatasetRow) -> None:
    path = copy / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte.gz is truncated.*remove the file"
    ):
        find_dataset(row, only(copy))


def test_a_damaged_copy_of_another_library_does_not_stand_in_the_way(
    copy: Path, small: Path, row: DatasetRow, caplog: pytest.LogCaptureFixture
) -> None:
    (copy / f"{IMAGES}.gz").write_bytes(b"half a download")
    places = (
        Place("Keras's copy", lambda _: [copy], ours=False),
        Place("torchvision's copy", lambda _: [small], ours=False),
    )
    assert find_dataset(row, SearchPath(places, (), lambda _: copy)).location == small
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "skipping Keras's copy" in caplog.text


def test_an_incomplete_folder_is_skipped(copy: Path, row: DatasetRow) -> None:
    (copy / f"{LABELS}.gz").unlink()
    with pytest.raises(DataError, match="can't be fetched: there is no other source"):
        find_dataset(row, only(copy))


def test_one_sentence_gives_every_reason(row: DatasetRow, tmp_path: Path) -> None:
    def fail(reason: str) -> Callable[[DatasetRow, Path], None]:
        def fetch(*_: object) -> None:
            raise DataError(reason)

        return fetch

    search = SearchPath(
        (), (fail("the wire is cut."), fail("the shop is shut.")), lambda _: tmp_path
    )
    with pytest.raises(DataError, match="fetched: the wire is cut; the shop is shut; put its four"):
        find_dataset(row, search)


def test_a_target_that_cannot_be_written(row: DatasetRow, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    search = SearchPath((), (), lambda _: tmp_path / "file" / "below")
    with pytest.raises(
        DataError, match=r"can't be stored in .*below \(Not a directory\); set FITT"
    ):
        find_dataset(row, search)


def test_unknown_names() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown data set 'fashion-mnst'; did you mean fash"
    ):
        load_dataset("fashion-mnst")
    with pytest.raises(UsageError, match="known: fashion-mnist, mnist"):
        load_dataset("zzzz")
    with pytest.raises(UsageError):
        load_dataset("")


def test_a_name_is_the_named_data_set_whatever_the_working_folder_holds(
    small: Path, lonely: Path
) -> None:
    shutil.copytree(small, lonely / "mnist")
    search = replace(OFFLINE, places=())
    with pytest.raises(DataError, match="mnist is in none of the known places"):
        load_dataset("mnist", search=search)
    assert load_dataset("./mnist").n_classes == 10
    assert load_dataset(Path("mnist")).name == "other-mnist"


# By path


def test_a_folder_in_the_working_folder_needs_no_separator(small: Path, lonely: Path) -> None:
    shutil.copytree(small, lonely / "garments")
    assert load_dataset("garments").name == "garments"
    assert load_dataset("~/garments").location == lonely / "garments"


def test_a_copy_of_a_named_data_set_is_that_data_set(
    small: Path, row: DatasetRow, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "fashion-mnist", row)
    (copy / "labels.txt").unlink()
    by_path, by_name = load_dataset(copy), find_dataset(row, only(small))
    assert by_path.mirror_keeps_class
    assert by_path.class_names == row.class_names
    assert (by_path.name, by_path.sha256) == (by_name.name, by_name.sha256)


def test_files_beside_a_named_data_set_count(
    small: Path, row: DatasetRow, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other class names or another answer about mirroring make another data set."""
    monkeypatch.setitem(DATASETS, "fashion-mnist", row)
    (copy / "labels.txt").write_text("\n".join(DIGITS))
    renamed = load_dataset(copy)
    assert renamed.class_names == DIGITS
    assert (renamed.name, renamed.mirror_keeps_class) == ("fashion-mnist", True)
    assert renamed.sha256 != load_dataset(small).sha256
    with pytest.raises(
        DataError, match=r"labels.txt or .* turns fashion-mnist into another data set"
    ):
        find_dataset(row, only(copy))

    (copy / "labels.txt").unlink()
    card = {"schema_version": 1, "name": "still", "mirror_keeps_class": False}
    (copy / "dataset.json").write_text(json.dumps(card))
    still = load_dataset(copy)
    assert (still.name, still.mirror_keeps_class) == ("still", False)
    with pytest.raises(DataError, match=r"or dataset.json in .*; remove it, or give the folder's"):
        find_dataset(row, only(copy))

    # The same name and answers, but part of the training images for validation.
    same = {"name": row.name, "mirror_keeps_class": row.mirror_keeps_class}
    card = {"schema_version": 1, **same, "validation_images": 200}
    (copy / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=r"turns fashion-mnist into another data set"):
        find_dataset(row, only(copy))


def test_arrays_of_a_named_data_set_come_back_the_same(
    small: Path, row: DatasetRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a child process fits what its parent requests."""
    monkeypatch.setitem(DATASETS, "fashion-mnist", row)
    source = load_dataset(small)
    dataset = Dataset.from_arrays(
        source.train.images, source.train.labels, source.test.images, source.test.labels
    )
    dataset.write_idx(tmp_path)
    back = load_dataset(tmp_path)
    assert back.class_names == DIGITS
    assert (back.sha256, back.name) == (dataset.sha256, "arrays")
    assert not back.mirror_keeps_class


def test_the_variable_names_the_folder_of_another_set(
    small: Path, copy: Path, row: DatasetRow, lonely: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files there are intact, so the message doesn't advise removing them."""
    labels = idx.read_idx(copy / f"{LABELS}.gz", 1)[::-1].copy()
    (copy / f"{LABELS}.gz").unlink()
    idx.write_idx(copy / LABELS, labels)
    other = replace(row, name="other", sha256=idx.read_folder(copy).sha256())
    monkeypatch.setitem(DATASETS, "fashion-mnist", row)
    monkeypatch.setitem(DATASETS, "other", other)
    monkeypatch.setenv("FITTINGROOM_DATA", str(copy))
    assert find_dataset(other, OFFLINE).location == copy
    with pytest.raises(DataError, match="fashion-mnist is in none of the known places"):
        find_dataset(row, replace(OFFLINE, target=lambda _: lonely / "target"))
    shutil.copytree(small, lonely / ".cache" / "fittingroom" / "fashion-mnist")
    assert find_dataset(row, OFFLINE).location == lonely / ".cache/fittingroom/fashion-mnist"


def test_a_name_with_a_dot_is_a_path(lonely: Path, small: Path) -> None:
    with pytest.raises(DataError, match=r"my.set doesn't exist\."):
        load_dataset("my.set")
    shutil.copytree(small, lonely / "my.set")
    assert load_dataset("my.set").name == "my.set"


# Thousands of changes to a named data set: only the exact content is accepted.


@settings(
    max_examples=400,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(idx.FILES),
    position=st.one_of(st.integers(0, 20), st.integers(0)),
    value=st.integers(1, 255),
    how=st.sampled_from(["xor", "cut", "insert"]),
)
def test_only_the_exact_content_is_accepted_for_a_name(
    tmp_path: Path, name: str, position: int, value: int, how: str
) -> None:
    images = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
    labels = np.arange(20, dtype=np.uint8) % 10
    arrays = {file: images if n == 3 else labels for file, n in idx.DIMENSIONS.items()}
    folder = tmp_path / "tiny"
    if not folder.exists():
        folder.mkdir()
        for file, array in arrays.items():
            idx.write_idx(folder / file, array)
    row = replace(DATASETS["mnist"], sha256={f: idx.array_sha256(a) for f, a in arrays.items()})
    assert find_dataset(row, only(folder)).name == "mnist"

    whole = (folder / name).read_bytes()
    content = bytearray(whole)
    position %= len(content)
    if how == "xor":
        content[position] ^= value
    elif how == "cut":
        del content[position:]
    else:
        content.insert(position, value)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=row.sha256[name]):
        find_dataset(row, only(folder))
    (folder / name).write_bytes(whole)


def test_a_bomb_under_a_known_name_is_refused(copy: Path, row: DatasetRow) -> None:
    (copy / f"{IMAGES}.gz").write_bytes(
        gzip.compress(struct.pack(">4I", 0x803, 2000, 28, 28) + bytes(60 << 20), 6)
    )
    with pytest.raises(DataError, match="is a gzip bomb") as refused:
        find_dataset(row, only(copy))
    assert row.sha256[IMAGES] in str(refused.value)


def test_the_logger_is_quiet_when_all_is_well(
    small: Path, row: DatasetRow, capfd: pytest.CaptureFixture[str]
) -> None:
    find_dataset(row, only(small))
    assert capfd.readouterr() == ("", "")
    assert sources.logger.name == "fittingroom.data"


def test_a_data_set_is_found_again_only_if_it_is_the_same(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = load_dataset(small).sha256
    monkeypatch.setenv("FITTINGROOM_DATA", str(tmp_path / "nowhere"))  # not a folder: skipped
    for name in ("fashion-mnist-small", "fashion-mnist"):
        dataset = find_again(name, small, sha256)
        assert dataset is not None
        assert dataset.sha256 == sha256
        assert find_again(name, small, "0" * 64) is None
        assert find_again(name, tmp_path, sha256) is None
    assert find_again("fashion-mnist-small", None, sha256) is None


def test_an_invalid_variable_does_not_hide_the_other_places(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invalid(row: DatasetRow) -> Sequence[Path]:
        raise DataError("the variable names no folder")

    search = only(small)
    places = (Place("a variable", invalid, ours=True), *search.places)
    sha256 = load_dataset(small).sha256
    found = find_again("fashion-mnist", None, sha256, search=replace(search, places=places))
    assert found is not None
    assert found.sha256 == sha256


@pytest.mark.parametrize("name", DATASETS)
def test_the_content_of_named_data_is_known(name: str) -> None:
    try:
        dataset = find_dataset(DATASETS[name], replace(SEARCH_PATH, fetchers=()))
    except DataError:
        pytest.skip(f"{name} isn't on this machine")
    assert row_of_content(dataset.sha256) is DATASETS[name]


@pytest.mark.parametrize("name", ["a\0/b", "/a\0/b", "loop/x"])
def test_names_that_no_file_can_have(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="doesn't exist"):
        load_dataset(name)
    assert find_again("mine", name, "0" * 64) is None


@pytest.mark.parametrize("size", [0, -1, (0, 28), (28, 28, 28), 5000, (2.5, 3)])
def test_impossible_sizes(size: Any, small: Path) -> None:
    with pytest.raises(InputError, match="isn't a size; give height and width in pixels"):
        load_dataset(small, size=size)
