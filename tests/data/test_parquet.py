"""Parquet files as Hugging Face has them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fittingroom.data import load_dataset
from fittingroom.data.dataset import Dataset, Split
from fittingroom.errors import DataError


def encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def table_of(part: Split, form: str = "picture", names: tuple[str, ...] | None = None) -> Any:
    columns: dict[str, Any] = {
        "picture": lambda: [{"bytes": encoded(x), "path": None} for x in part.images],
        "bytes": lambda: [encoded(x) for x in part.images],
        "rows": lambda: part.images.tolist(),
        "pixels": lambda: part.images.reshape(len(part), -1).tolist(),
    }
    table = pa.table({"image": columns[form](), "label": part.labels})
    if names is None:
        return table
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


def write(folder: Path, data: Dataset, form: str = "picture", shards: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        part = getattr(data, split)
        for i, positions in enumerate(np.array_split(np.arange(len(part)), shards)):
            shard = Split(part.images[positions], part.labels[positions])
            table = table_of(shard, form, data.class_names)
            pq.write_table(table, folder / f"{split}-{i:05}-of-{shards:05}.parquet")


@pytest.mark.parametrize("form", ["picture", "bytes", "rows", "pixels"])
def test_the_same_data_in_every_form(form: str, small: Path, tmp_path: Path) -> None:
    known = load_dataset(small)
    write(tmp_path / "hub" / "data", known, form)
    data = load_dataset(tmp_path / "hub")
    assert data.sha256 == known.sha256
    assert data.class_names == known.class_names
    assert "Parquet files" in data.source


def test_one_file_without_a_split(small: Path, tmp_path: Path) -> None:
    known = load_dataset(small)
    pq.write_table(table_of(known.train), tmp_path / "garments.parquet")
    data = load_dataset(tmp_path / "garments.parquet")
    assert (data.name, len(data.train) + len(data.test)) == ("garments", 2000)
    assert data.class_names[3] == "3"


def test_names_of_the_catalogue_go_before_theirs(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hugging Face spells Fashion-MNIST's names otherwise; it is the same data set."""
    import dataclasses

    from fittingroom.data import idx
    from fittingroom.data.catalog import DATASETS

    known = load_dataset(small)
    row = dataclasses.replace(DATASETS["fashion-mnist"], sha256=idx.read_folder(small).sha256())
    monkeypatch.setitem(DATASETS, "fashion-mnist", row)
    theirs = dataclasses.replace(known, class_names=("T - shirt / top", *known.class_names[1:]))
    write(tmp_path / "hub", theirs)
    data = load_dataset(tmp_path / "hub")
    assert (data.name, data.preparation) == ("fashion-mnist", "garment")
    assert data.class_names == DATASETS["fashion-mnist"].class_names


def test_pictures_of_several_sizes(small: Path, tmp_path: Path) -> None:
    known = load_dataset(small)
    table = table_of(known.train)
    wide = np.pad(known.test.images, ((0, 0), (0, 0), (0, 4)))
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table_of(Split(wide, known.test.labels)), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"test.parquet, row 0 is 32×28 pixels, but .* is 28×28"):
        load_dataset(tmp_path)
    data = load_dataset(tmp_path, size=(28, 28))
    assert data.image_shape == (28, 28)
    assert data.location is None
    np.testing.assert_array_equal(data.train.images, known.train.images)


def test_damaged_pictures(small: Path, tmp_path: Path) -> None:
    part = load_dataset(small).train
    pictures = [encoded(image) for image in part.images]
    pictures[5] = pictures[5][:60]
    pictures[9] = b""
    table = pa.table({"image": pictures, "label": part.labels})
    pq.write_table(table, tmp_path / "all.parquet")
    with pytest.raises(DataError, match=r"2 pictures that can't be read: .*row 5.*row 9"):
        load_dataset(tmp_path / "all.parquet")
    data = load_dataset(tmp_path / "all.parquet", skip_damaged=True)
    assert len(data.train) + len(data.test) == 1998


def table(**columns: Any) -> Any:
    return pa.table(columns)


IMAGES = np.random.default_rng(0).integers(0, 255, (40, 64)).tolist()
LABELS = [0, 1] * 20
#: One image has a pixel more, another one less.
ODD = [([*image, 0], n) for image, n in zip(IMAGES, [65, *[64] * 38, 63], strict=True)]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (table(picture=IMAGES, label=LABELS), "no column of images; name one image .*picture"),
        (table(image=IMAGES, label=LABELS, target=LABELS), "several columns of labels"),
        (table(image=IMAGES, label=[None, *LABELS[1:]]), "its labels have 1 empty values"),
        (table(image=[None, *IMAGES[1:]], label=LABELS), "its images have 1 empty values"),
        (table(image=[IMAGES[0][:-1], *IMAGES[1:]], label=LABELS), "its images differ in size"),
        (table(image=[x[:n] for x, n in ODD], label=LABELS), "its images differ in size"),
        (table(image=IMAGES, label=["x" * 201, *map(str, LABELS[1:])]), "a label of more than 200"),
        (table(image=[x[:60] for x in IMAGES], label=LABELS), "reshape"),
        (table(image=IMAGES, label=[0.5, *LABELS[1:]]), "its labels must be whole numbers"),
        (table(image=["a"] * 40, label=LABELS), "images must be an array|must be numbers"),
        (table(image=IMAGES[:0], label=LABELS[:0]), "holds no rows"),
    ],
    ids=range(11),
)
def test_refuses_what_is_no_data_set(table: Any, complaint: str, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=complaint) as refused:
        load_dataset(tmp_path / "mine.parquet")
    assert "mine.parquet" in str(refused.value)


def test_rows_that_take_far_more_memory_than_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal rows are stored once."""
    monkeypatch.setattr("fittingroom.data.parquet.ALWAYS_ROOM", 1000)
    pq.write_table(table(image=[[7] * 784] * 5000, label=[0] * 5000), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"mine.parquet would take more than [\d,]+ bytes"):
        load_dataset(tmp_path / "mine.parquet")


def test_options_for_pictures_of_lists_of_pixels(tmp_path: Path) -> None:
    pq.write_table(table(image=IMAGES, label=LABELS), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="holds no picture files; omit size"):
        load_dataset(tmp_path / "mine.parquet", size=(28, 28))


def test_names_of_files(small: Path, tmp_path: Path) -> None:
    part = table_of(load_dataset(small).test, "pixels")
    pq.write_table(part, tmp_path / "train.parquet")
    assert "a fixed seventh is the test split" in load_dataset(tmp_path).source
    (tmp_path / "._train.parquet").write_bytes(b"what macOS leaves")
    assert len(load_dataset(tmp_path).train) == 860
    pq.write_table(part, tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other.parquet gives no split, but other file names do"):
        load_dataset(tmp_path)


def test_links_of_the_hubs_cache(small: Path, tmp_path: Path) -> None:
    """Its files are links to blobs; links to anywhere else are refused."""
    known, cache = load_dataset(small), tmp_path / "datasets--owner--garments"
    write(cache / "blobs", known, shards=1)
    snapshot = cache / "snapshots" / "0123" / "data"
    snapshot.mkdir(parents=True)
    for blob in (cache / "blobs").iterdir():
        (snapshot / blob.name).symlink_to(blob)
    assert load_dataset(snapshot).sha256 == known.sha256
    copied = tmp_path / "elsewhere"
    snapshot.rename(copied)
    with pytest.raises(DataError, match="links to something outside"):
        load_dataset(copied)


def test_damage_is_found(
    complaint_about: Callable[[Path], str], small: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(table_of(load_dataset(small).test), path)
    whole, random, refused = path.read_bytes(), np.random.RandomState(1), 0
    for _ in range(60):
        mutant = bytearray(whole)
        for position in random.randint(0, len(whole), 3):
            mutant[position] = random.randint(256)
        path.write_bytes(mutant[: random.randint(1, len(whole) + 1)])
        said = complaint_about(path)  # none for a label, which has no checksum
        refused += bool(said)
        assert not said or path.name in said
    assert refused > 50


def test_a_folder_for_each_split(small: Path, tmp_path: Path) -> None:
    known = load_dataset(small)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        part = table_of(getattr(known, split), "pixels")
        pq.write_table(part, tmp_path / split / "0000.parquet")
    np.testing.assert_array_equal(load_dataset(tmp_path).test.images, known.test.images)


def test_parts_that_name_their_classes_otherwise(small: Path, tmp_path: Path) -> None:
    """Label 1 of one would be read as class 1 of the other."""
    known = load_dataset(small)
    for split, names in (("train", known.class_names), ("test", known.class_names[::-1])):
        part = table_of(getattr(known, split), "pixels", names)
        pq.write_table(part, tmp_path / f"{split}.parquet")
    with pytest.raises(DataError, match=r"test.parquet|train.parquet has different class names"):
        load_dataset(tmp_path)


def test_a_folder_that_is_a_link(small: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", load_dataset(small))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="links to something outside"):
        load_dataset(tmp_path / "mine")
