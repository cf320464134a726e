from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fittingroom.data import load_dataset
from fittingroom.data.decode import decode
from fittingroom.data.folder import is_image_folder
from fittingroom.data.forms import form_of
from fittingroom.errors import DataError


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture(scope="module")
def pictures(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real garments as PNG files of three classes: ten each to train, four to test."""
    folder = tmp_path_factory.mktemp("garments")
    dataset = load_dataset(small)
    for split, count in (("train", 10), ("test", 4)):
        part = getattr(dataset, split)
        for label in (0, 1, 9):
            name = dataset.class_names[label].replace("/", "-")
            for position in np.flatnonzero(part.labels == label)[:count]:
                save(folder / split / name / f"{position:05}.png", part.images[position])
    return folder


@pytest.fixture
def copy(pictures: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pictures, tmp_path / "mine"))


def test_reads_real_pictures_as_they_are(pictures: Path, small: Path) -> None:
    dataset, source = load_dataset(pictures), load_dataset(small)
    assert dataset.class_names == ("Ankle boot", "T-shirt-top", "Trouser")
    assert dataset.name == pictures.name
    assert dataset.image_shape == (28, 28)
    assert not dataset.mirror_keeps_class
    assert np.bincount(dataset.train.labels).tolist() == [10, 10, 10]
    assert np.bincount(dataset.test.labels).tolist() == [4, 4, 4]
    boots = source.test.images[source.test.labels == 9][:4]
    np.testing.assert_array_equal(dataset.test.images[dataset.test.labels == 0], boots)


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev"])
def test_an_official_validation_part(copy: Path, name: str) -> None:
    shutil.copytree(copy / "test", copy / name)
    dataset = load_dataset(copy)
    assert (len(dataset.train), dataset.validation_images) == (42, 12)
    np.testing.assert_array_equal(dataset.train.images[30:], dataset.test.images)
    shutil.copytree(copy / "test", copy / "more")  # no name of a split
    assert load_dataset(copy).sha256 == dataset.sha256
    shutil.copytree(copy / "test", copy / ("dev" if name != "dev" else "val"))
    with pytest.raises(DataError, match="both look like the validation part; keep one"):
        load_dataset(copy)


def test_class_folders_without_a_split(copy: Path) -> None:
    dataset = load_dataset(copy / "train")
    assert dataset.class_names == ("Ankle boot", "T-shirt-top", "Trouser")
    assert (len(dataset.train), len(dataset.test)) == (27, 3)  # one of ten of each class
    for name in ("Ankle boot", "T-shirt-top"):
        shutil.rmtree(copy / "train" / name)
    with pytest.raises(DataError, match="holds no data set in a form that can be read"):
        load_dataset(copy / "train")


def test_classes_of_the_validation_part_are_those_of_the_others(copy: Path) -> None:
    shutil.copytree(copy / "test", copy / "val")
    (copy / "val" / "Trouser").rename(copy / "val" / "Skirt")
    with pytest.raises(DataError, match=r"val has a class folder 'Skirt', but .*train doesn't"):
        load_dataset(copy)


def test_the_same_as_arrays_and_as_idx(pictures: Path, tmp_path: Path) -> None:
    dataset = load_dataset(pictures)
    dataset.write_idx(tmp_path)
    assert load_dataset(tmp_path).sha256 == dataset.sha256
    assert dataset.location is not None
    assert load_dataset(dataset.location).sha256 == dataset.sha256


def test_colour_becomes_grey_and_litter_is_ignored(copy: Path) -> None:
    before = load_dataset(copy)
    (copy / "train" / ".DS_Store").write_bytes(b"x")
    (copy / "train" / "Trouser" / "Thumbs.db").write_bytes(b"x")
    for path in sorted((copy / "train" / "Trouser").glob("*.png")):
        grey = np.asarray(Image.open(path))
        save(path, np.stack([grey] * 3 + [np.full_like(grey, 255)], axis=-1))
    assert load_dataset(copy).sha256 == before.sha256


def test_a_class_folder_with_a_leading_dot_is_skipped_and_logged(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fittingroom")
    before = load_dataset(copy)
    assert caplog.text == ""
    (copy / "train" / "Trouser").rename(copy / "train" / ".NET")
    (copy / "test" / "Trouser").rename(copy / "test" / ".NET")
    assert len(load_dataset(copy).class_names) == len(before.class_names) - 1
    assert f"skipping {copy / 'train' / '.NET'}: its name begins with a dot" in caplog.text


def test_grey_follows_itu_r_601(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[:, 0, 0] = colours[:, 1, 1] = colours[:, 2, 2] = 200
    for split in ("train", "test"):
        for name in "ab":
            save(tmp_path / split / name / "0.png", colours)
    dataset = load_dataset(tmp_path)
    assert dataset.image_shape == (2, 3)
    np.testing.assert_allclose(
        dataset.train.images[0, 0], [0.299 * 200, 0.587 * 200, 0.114 * 200], atol=1
    )


def transparent(mode: str, grey: int, alpha: np.ndarray) -> Image.Image:
    """A picture of one grey, opaque where `alpha` is, in one of the ways that PNG has."""
    layers = [Image.fromarray(np.full_like(alpha, grey)) for _ in mode[:-1]]
    if mode != "P":
        return Image.merge(mode, [*layers, Image.fromarray(alpha)])
    picture = Image.fromarray(alpha, "P")
    picture.putpalette([grey] * 768)
    picture.info["transparency"] = bytes(range(256))
    return picture


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("grey", "ground"), [(0, "white"), (90, "white"), (255, "black")])
def test_transparent_pictures_get_a_contrasting_background(
    small: Path, tmp_path: Path, mode: str, grey: int, ground: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = load_dataset(small)
    caplog.set_level("INFO", logger="fittingroom")
    for split in ("train", "test"):
        part = getattr(source, split)
        for position in range(40):
            path = tmp_path / split / str(part.labels[position] % 2) / f"{position:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            transparent(mode, grey, part.images[position]).save(path)
    dataset = load_dataset(tmp_path)
    assert f"pictures are laid on a {ground} background" in caplog.text
    opaque = (
        np.stack(
            [
                i
                for label in (0, 1)
                for i in source.train.images[:40][source.train.labels[:40] % 2 == label]
            ]
        )
        / 255
    )
    expected = grey * opaque + (255 if ground == "white" else 0) * (1 - opaque)
    np.testing.assert_allclose(dataset.train.images, expected, atol=1)
    assert len({image.tobytes() for image in dataset.train.images}) == 40
    if ground == "white":  # as `predict` sees them
        path = sorted((tmp_path / "train" / "0").iterdir())[0]
        np.testing.assert_allclose(dataset.train.images[0], decode(path).pixels[..., 0], atol=1)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    marks = Image.Exif()
    marks[0x0112] = 6  # a quarter turn makes it upright
    for split in ("train", "test"):
        save(tmp_path / split / "a" / "0.png", np.zeros((4, 7), np.uint8))
        save(tmp_path / split / "b" / "0.png", np.zeros((7, 4), np.uint8), exif=marks)
    assert load_dataset(tmp_path).image_shape == (4, 7)


def spoil_size(folder: Path) -> None:
    save(folder / "test" / "Trouser" / "zz.png", np.zeros((28, 30), np.uint8))


def spoil_class(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "Trouser")


def spoil_other_class(folder: Path) -> None:
    shutil.rmtree(folder / "train" / "Trouser")


def spoil_empty_class(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split / "Hat").mkdir()


def spoil_text(folder: Path) -> None:
    (folder / "train" / "Trouser" / "readme.txt").write_text("hello")


def spoil_loose_file(folder: Path) -> None:
    (folder / "train" / "loose.png").write_bytes(b"")


def spoil_truncated(folder: Path) -> None:
    path = next((folder / "train" / "Trouser").iterdir())
    path.write_bytes(path.read_bytes()[:-100])


def spoil_depth(folder: Path) -> None:
    save(folder / "train" / "Trouser" / "zz.png", np.zeros((28, 28), np.uint16))


def spoil_all(folder: Path) -> None:
    for path in (folder / "train").iterdir():
        shutil.rmtree(path)


def spoil_one_class_left(folder: Path) -> None:
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "Trouser")
        shutil.rmtree(folder / split / "Ankle boot")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoil_size, r"zz.png is 30×28 pixels, but .*\.png is 28×28"),
        (spoil_class, "train has a class folder 'Trouser', but .*test doesn't"),
        (spoil_other_class, "test has a class folder 'Trouser', but .*train doesn't"),
        (spoil_empty_class, "Hat holds no picture"),
        (spoil_text, "readme.txt isn't a PNG, JPEG, WebP, BMP, GIF, PPM or TIFF picture"),
        (spoil_loose_file, "loose.png isn't a class folder"),
        (spoil_truncated, r"can't be read: it is damaged \(truncated"),
        (spoil_depth, "zz.png has more than 8 bits per pixel"),
        (spoil_all, "train holds no class folder"),
        (spoil_one_class_left, "needs 2 to 256 classes, not 1"),
    ],
)
def test_refuses_in_one_sentence(copy: Path, spoil: Callable[[Path], None], complaint: str) -> None:
    spoil(copy)
    with pytest.raises(DataError, match=complaint) as refused:
        load_dataset(copy)
    assert str(copy) in str(refused.value)


def test_a_picture_with_too_many_pixels_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fittingroom.data.decode.MAX_PIXELS", 500)
    with pytest.raises(DataError, match=r"has 28 × 28 pixels, more than 500"):
        load_dataset(copy)


def test_mutated_pictures_never_crash(complaint_about: Callable[[Path], str], copy: Path) -> None:
    random = np.random.RandomState(1)
    path = sorted((copy / "train" / "Trouser").iterdir())[0]
    whole = path.read_bytes()
    refused = 0
    for _ in range(300):
        mutant = bytearray(whole)
        for position in random.randint(0, len(whole), 3):
            mutant[position] = random.randint(256)
        path.write_bytes(mutant[: random.randint(1, len(whole) + 1)])
        complaint = complaint_about(copy)
        refused += bool(complaint)
        assert not complaint or path.name in complaint
    assert refused > 200


def test_hard_links_that_would_fill_the_memory(copy: Path) -> None:
    """A few kilobytes of one file under thousands of names."""
    first = sorted((copy / "train" / "Trouser").iterdir())[0]
    for split in ("train", "test"):
        for name in ("Trouser", "Ankle boot", "T-shirt-top"):
            for path in (copy / split / name).iterdir():
                path.unlink() if path != first else None
    Image.new("L", (1000, 1000)).save(first)
    for split in ("train", "test"):
        for name in ("Trouser", "Ankle boot", "T-shirt-top"):
            for number in range(100):
                (copy / split / name / f"{number}-.png").hardlink_to(first)
    with pytest.raises(DataError, match=r"would become 60[0-9,]*; that isn't a data set"):
        load_dataset(copy)


def test_more_pictures_than_memory(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fittingroom.data.pictures.ALWAYS_ROOM", 1000)
    free = type("Memory", (), {"available": 2000})
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    with pytest.raises(DataError, match=r"its 42 pictures of 28×28 pixels take 32,928 bytes"):
        load_dataset(copy)


def test_class_folders_that_link_elsewhere(copy: Path, tmp_path: Path) -> None:
    (copy / "train" / "Trouser").rename(tmp_path / "elsewhere")
    (copy / "train" / "Trouser").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="Trouser links to something outside"):
        load_dataset(copy)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PPM", "TIFF", "WEBP", "JPEG"])
def test_plain_pictures_of_every_format(copy: Path, kind: str) -> None:
    before = load_dataset(copy)
    for path in copy.rglob("*.png"):
        options: dict[str, Any] = (
            {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "JPEG" else {}
        )
        with Image.open(path) as image:
            image.convert("L").save(path.with_suffix(f".{kind.lower()}"), kind, **options)
        path.unlink()
    images = load_dataset(copy).train.images.astype(int)
    assert abs(images - before.train.images).max() <= (0 if kind != "JPEG" else 12)


def test_a_jpeg_in_a_tiff(copy: Path) -> None:
    """Its scans would not be counted."""
    path = sorted((copy / "train" / "Trouser").iterdir())[0]
    with Image.open(path) as image:
        image.save(path.with_suffix(".tif"), "TIFF", compression="jpeg")
    path.unlink()
    with pytest.raises(DataError, match="is a JPEG in a TIFF"):
        load_dataset(copy)


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("training_set", "test_set")])
def test_other_names_of_the_parts(copy: Path, train: str, test: str) -> None:
    before = load_dataset(copy).sha256
    (copy / "train").rename(copy / train)
    (copy / "test").rename(copy / test)
    assert load_dataset(copy).sha256 == before
    assert form_of(copy / train).title == "class-named folders of pictures"


def test_a_part_that_is_missing(copy: Path) -> None:
    (copy / "test").rename(copy / "val")
    with pytest.raises(DataError, match="folders for train and validation, but none for test"):
        load_dataset(copy)


def test_classes_whose_names_hold_such_words(copy: Path) -> None:
    """A train and test tubes are things, too."""
    shutil.move(copy / "train" / "Trouser", copy / "train" / "train")
    shutil.move(copy / "train" / "Ankle boot", copy / "train" / "test tubes")
    assert load_dataset(copy / "train").class_names == ("T-shirt-top", "test tubes", "train")


def test_other_folders_beside_the_parts(copy: Path) -> None:
    before = load_dataset(copy).sha256
    shutil.copytree(copy / "train", copy / "train_old")
    (copy / "val_results").mkdir()
    assert load_dataset(copy).sha256 == before


def test_folders_of_logs_beside_another_form(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "mine")
    for name in ("train_logs", "test_logs"):
        (tmp_path / "mine" / name / "1").mkdir(parents=True)
    assert form_of(tmp_path / "mine").title == "the four IDX files of MNIST"
    assert not is_image_folder(tmp_path / "mine")


def test_other_formats_without_a_split(copy: Path) -> None:
    for path in (copy / "train").rglob("*.png"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".pgm"))
        path.unlink()
    assert len(load_dataset(copy / "train").class_names) == 3


def test_a_class_that_links_elsewhere_without_a_split(copy: Path, tmp_path: Path) -> None:
    (copy / "train" / "Trouser").rename(copy / "elsewhere")
    (copy / "train" / "Trouser").symlink_to(copy / "elsewhere")
    with pytest.raises(DataError, match="Trouser links to something outside"):
        load_dataset(copy / "train")
