"""CSV files as Kaggle has them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import DataError

Writer = Callable[..., Path]


@pytest.fixture(scope="module")
def data(small_folder: Path) -> Dataset:
    """A few images of each class."""
    small = load_dataset(small_folder)
    few = {}
    for part, split in (("train", small.train), ("test", small.test)):
        index = np.concatenate([np.flatnonzero(split.labels == label)[:12] for label in range(10)])
        few[part] = (split.images[index], split.labels[index])
    return Dataset.from_arrays(*few["train"], *few["test"])


@pytest.fixture
def write(data: Dataset, tmp_path: Path) -> Writer:
    """Write both splits; returns the path of the training file."""

    def write(
        *,
        name: str = "garments_{}.csv",
        header: bool = True,
        last: bool = False,
        label: Callable[[int], object] = str,
        scale: float | None = None,
        end: str = "\n",
    ) -> Path:
        for split, part in (("train", data.train), ("test", data.test)):
            names = [f"pixel{i + 1}" for i in range(784)]
            lines = [",".join([*names, "label"] if last else ["label", *names])] if header else []
            for image, number in zip(part.images.reshape(-1, 784), part.labels, strict=True):
                pixels = (image if scale is None else np.round(image * scale, 6)).tolist()
                cells = [*pixels, label(int(number))] if last else [label(int(number)), *pixels]
                lines.append(",".join(map(str, cells)))
            text = (end.join(lines) + end).encode()
            path = tmp_path / name.format(split)
            path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        return tmp_path / name.format("train")

    return write


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"header": False},
        {"last": True},
        {"last": True, "header": False},
        {"name": "garments_{}.csv.gz"},
        {"name": "{}.csv"},
        {"scale": 1 / 255},
        {"end": "\r\n"},
        {"end": "\n\n"},
        {"label": lambda number: f'"{number}"'},
        {"label": float},
    ],
    ids=[
        *("plain", "no-header", "last", "last-no-header", "compressed", "only-splits", "floats"),
        *("windows", "empty-lines", "quoted", "float-labels"),
    ],
)
def test_each_form_is_the_same_data(write: Writer, data: Dataset, form: dict[str, object]) -> None:
    path = write(**form)
    for where in (path, path.parent):
        assert load_dataset(where).sha256 == data.sha256
    assert load_dataset(path).location == path


def test_the_name_is_that_of_the_files_without_the_split(write: Writer) -> None:
    assert load_dataset(write()).name == "garments"
    path = write(name="{}.csv")
    assert load_dataset(path).name == path.parent.name


def test_labels_with_a_gap_and_labels_of_text(write: Writer, data: Dataset) -> None:
    gap = load_dataset(write(label=lambda number: number + (number > 8)))  # as sign-MNIST without J
    assert gap.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "10")
    np.testing.assert_array_equal(gap.train.labels, data.train.labels)
    words = ["boat", "cat", "dog", "emu", "fox", "gnu", "hen", "ibis", "jay", "kiwi"]
    text = load_dataset(write(label=words.__getitem__))
    assert text.class_names[:2] == ("boat", "cat")
    np.testing.assert_array_equal(text.test.labels, data.test.labels)


def test_several_pairs_in_a_folder(write: Writer, data: Dataset) -> None:
    path = write()
    write(name="other_{}.csv")
    assert load_dataset(path).sha256 == data.sha256
    with pytest.raises(DataError, match="both look like the test split; give the path of the one"):
        load_dataset(path.parent)


def test_a_file_beside_its_compressed_copy(
    write: Writer, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    path = write()
    for file in (path, path.with_name("garments_test.csv")):
        damaged = gzip.compress(file.read_bytes())[:-1]  # so that reading it would be an error
        file.with_name(f"{file.name}.gz").write_bytes(damaged)
    with caplog.at_level("INFO"):
        assert load_dataset(path.parent).sha256 == data.sha256
    for split in ("train", "test"):
        plain = path.with_name(f"garments_{split}.csv")
        assert f"{plain} is read, not its compressed copy {plain.name}.gz" in caplog.text


def test_a_compressed_copy_is_read_on_request(
    write: Writer, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    packed = write(name="garments_{}.csv.gz")
    plain = write()
    plain.write_text("not,read\n")
    with caplog.at_level("INFO"):
        assert load_dataset(packed).sha256 == data.sha256
    assert "garments_test.csv is read" in caplog.text
    assert "garments_train.csv is read" not in caplog.text


def test_the_file_that_the_user_names_is_not_ambiguous(write: Writer, data: Dataset) -> None:
    path = write()
    path.with_name("garments-train.csv").write_text("not,read\n")
    assert load_dataset(path).sha256 == data.sha256


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda lines: [], "is empty"),
        (lambda lines: lines[:1], "has a header and no rows"),
        (lambda lines: [*lines[:5], lines[5] + ",0"], "line 6: it has 786 columns, not 785"),
        (lambda lines: [*lines[:5], "", "3"], "line 7: it has 1 columns, not 785"),
        (lambda lines: [*lines[:5], lines[5][:-1] + "x"], "line 6: could not convert string '.*x'"),
        (lambda lines: [*lines[:5], lines[5][:-2] + ",-1"], "line 6: the pixel -1 isn't between 0"),
        (lambda lines: [*lines[:5], lines[5][:-2] + ",256"], "line 6: the pixel 256 isn't between"),
        (lambda lines: [line.split(",", 1)[1] for line in lines], "has no labels: its 784 columns"),
        (lambda lines: [line.rsplit(",", 3)[0] for line in lines], "so 781 pixels; only square"),
        (lambda lines: [*lines[:5], "a" * 201 + lines[5][1:]], "line 6: its label has 201 charac"),
        (lambda lines: [*lines[:5], "\udcff"], "it isn't UTF-8 text"),
        (lambda lines: [*lines[:5], "1," * 3_000_000], "a line is too long"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    write: Writer, change: Callable[[list[str]], list[str]], complaint: str
) -> None:
    path = write()
    lines = change(path.read_text().splitlines())
    path.write_bytes("\n".join(lines).encode("utf8", "surrogateescape"))
    with pytest.raises(DataError, match=complaint) as error:
        load_dataset(path)
    assert str(path) in str(error.value)


def test_an_official_validation_part(write: Writer, data: Dataset) -> None:
    path = write()
    path.with_name("garments_valid.csv").write_bytes(
        path.with_name("garments_test.csv").read_bytes()
    )
    for where in (path, path.parent, path.with_name("garments_valid.csv")):
        whole = load_dataset(where)
        assert whole.validation_images == len(data.test)
        np.testing.assert_array_equal(whole.train.images[-len(data.test) :], data.test.images)
    assert whole.validation_split().train.tolist() == list(range(len(data.train)))


def test_a_split_that_is_missing(write: Writer) -> None:
    path = write()
    path.with_name("garments_test.csv").unlink()
    with pytest.raises(DataError, match=r"no test split beside it; put garments_test.csv into"):
        load_dataset(path)


def test_one_file_without_a_split(write: Writer) -> None:
    path = write().with_name("all.csv")
    path.with_name("garments_train.csv").rename(path)
    whole = load_dataset(path)
    assert (len(whole.train), len(whole.test)) == (100, 20)  # of 12 images of each class
    assert whole.source.endswith("of which a fixed seventh is the test split")


def test_a_test_file_without_labels_cant_score(
    write: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    path = write()
    test = path.with_name("garments_test.csv")
    lines = [line.split(",", 1)[1] for line in test.read_text().splitlines()]
    test.write_text("\n".join(lines))
    with caplog.at_level("INFO"):
        assert (len(load_dataset(path).train), len(load_dataset(path).test)) == (100, 20)
    assert f"{test} has no labels, so it isn't the test split" in caplog.text
