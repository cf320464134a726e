from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.data import Dataset, load_dataset
from fittingroom.data.dataset import Split, content_sha256
from fittingroom.errors import DataError, FittingroomError, InputError

RANDOM = np.random.RandomState(0)
TRAIN = RANDOM.randint(0, 256, (30, 6, 5)).astype(np.uint8)
TEST = RANDOM.randint(0, 256, (9, 6, 5)).astype(np.uint8)
TRAIN_LABELS = np.arange(30) % 3
TEST_LABELS = np.arange(9) % 3


def make(**changes: Any) -> Dataset:
    arrays: dict[str, Any] = {
        "train_images": TRAIN,
        "train_labels": TRAIN_LABELS,
        "test_images": TEST,
        "test_labels": TEST_LABELS,
    }
    return Dataset.from_arrays(**{**arrays, **changes})


def test_from_arrays() -> None:
    dataset = make()
    assert dataset.name == "arrays"
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.n_classes == 3
    assert dataset.image_shape == (6, 5)
    assert (len(dataset.train), len(dataset.test)) == (30, 9)
    assert dataset.train.labels.dtype == np.int64
    assert dataset.location is None
    assert not dataset.mirror_keeps_class
    assert "30 training and 9 test images of 6×5" in repr(dataset)
    np.testing.assert_array_equal(dataset.test.images, TEST)


def test_arrays_are_copied_and_read_only() -> None:
    images = TRAIN.copy()
    dataset = make(train_images=images)
    images[:] = 0
    np.testing.assert_array_equal(dataset.train.images, TRAIN)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.test.labels[0] = 0
    assert images.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]


def test_lists_and_wider_integers_are_accepted() -> None:
    assert make(train_images=TRAIN.astype(np.int32)).sha256 == make().sha256
    assert make(train_labels=TRAIN_LABELS.astype(np.uint8).tolist()).sha256 == make().sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"train_images": TRAIN / 255, "test_images": TEST[..., None]},
        {"train_images": TRAIN.astype(float), "test_images": TEST[:, None].astype(np.float32)},
        {"train_labels": np.eye(3)[TRAIN_LABELS], "test_labels": TEST_LABELS[:, None]},
    ],
)
def test_whatever_people_have_is_the_same_data(changes: dict[str, Any]) -> None:
    assert make(**changes).sha256 == make().sha256


def test_labels_name_the_classes_in_their_order() -> None:
    gaps = np.array([-1, 2, 40])
    dataset = make(train_labels=gaps[TRAIN_LABELS], test_labels=gaps[TEST_LABELS])
    assert dataset.class_names == ("-1", "2", "40")
    np.testing.assert_array_equal(dataset.test.labels, TEST_LABELS)
    text = np.array(["boot", "bag", "coat"])
    dataset = make(train_labels=text[TRAIN_LABELS], test_labels=text[TEST_LABELS])
    assert dataset.class_names == ("bag", "boot", "coat")
    np.testing.assert_array_equal(dataset.train.labels == 0, TRAIN_LABELS == 1)
    named = make(
        train_labels=text[TRAIN_LABELS],
        test_labels=text[TEST_LABELS],
        class_names=["coat", "boot", "bag"],
    )
    np.testing.assert_array_equal(named.test.labels == 0, TEST_LABELS == 2)


def test_an_official_validation_part_is_held_out_and_is_part_of_the_hash() -> None:
    plain = make()
    official = dataclasses.replace(plain, validation_images=12)
    split = official.validation_split()
    assert split.validation.tolist() == list(range(18, 30))
    assert split.train.tolist() == list(range(18))
    for half in (split.selection, split.calibration):
        assert np.bincount(plain.train.labels[half]).tolist() == [2, 2, 2]
    hashes = {content_sha256(plain.train, plain.test, "abc", size) for size in (0, 12, 13)}
    assert len(hashes) == 3
    with pytest.raises(InputError, match="the validation part can't be 30 of 30 training images"):
        dataclasses.replace(plain, validation_images=30)
    with pytest.raises(DataError, match="class 0 has 1 images in the official validation part"):
        dataclasses.replace(plain, validation_images=3).validation_split()


def test_splits_of_different_sizes_dont_follow_each_other() -> None:
    split = make().train
    assert len(split.followed_by(make().test)) == 39
    with pytest.raises(InputError, match="can't go with validation images"):
        split.followed_by(Split(TEST[:, :5], TEST_LABELS))


def test_oddities_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    make(
        train_labels=TRAIN_LABELS + 1, test_labels=TEST_LABELS + 1, class_names=["a", "b", "c", "d"]
    )
    assert "no training image has the label 0 (a)" in caplog.text
    assert "the labels start at 1, so subtract 1 from each" in caplog.text
    caplog.clear()
    make(class_names=list("abcdefgh"))
    assert "the label 3 (d), 4 (e), 5 (f) and 2 more labels, so no model learns it." in caplog.text
    caplog.clear()
    make(train_images=TEST, train_labels=TEST_LABELS, test_images=TRAIN, test_labels=TRAIN_LABELS)
    assert "more test images (30) than training images (9); were they swapped?" in caplog.text
    caplog.clear()
    make()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"train_images": TRAIN / 50 - 2}, "stretch them to 0..255 and round them"),
        ({"train_labels": np.array(["a", "b", "c"] * 10)}, "some labels are text"),
        ({"train_labels": TRAIN_LABELS * 0, "test_labels": TEST_LABELS * 0}, "classes, not 1"),
        (
            {"train_labels": ["a", "b", "d"] * 10, "test_labels": ["a"] * 9, "class_names": "abc"},
            "the label 'd' isn't among the class names",
        ),
        ({"train_images": TRAIN_LABELS}, r"not of shape \(30,\); these look like labels"),
        ({"train_labels": TEST}, "the order is training images, training labels, test images"),
        (
            {
                "train_labels": TRAIN_LABELS + 1,
                "test_labels": TEST_LABELS + 1,
                "class_names": list("abc"),
            },
            "label 3 is outside .* 0 to 2; the labels start at 1, so subtract 1 from each",
        ),
        ({"train_images": TRAIN.astype(int) + 1}, "values from 1 to 256; pixels go from 0 to 255"),
        ({"train_images": TRAIN[:0], "train_labels": TRAIN_LABELS[:0]}, "that is not empty"),
        ({"train_labels": TRAIN_LABELS[:-1]}, "one label for each of the 30 images"),
        ({"class_names": ["a", "b"]}, "training label 2 is outside the 2 classes"),
        ({"test_labels": TEST_LABELS + 1, "class_names": list("abc")}, "test label 3 is outside"),
        ({"test_images": TEST[:, :5]}, "make them the same size"),
        ({"class_names": ["a", "b", "a"]}, "'a' occurs twice"),
        ({"class_names": ["a", "b", "c\n"]}, "can't be a class name"),
        ({"class_names": ["a", "b", ""]}, "can't be a class name"),
        ({"class_names": ["a", "b", " c"]}, "can't be a class name"),
        ({"train_labels": TRAIN_LABELS * 0, "test_labels": TEST_LABELS * 0}, "needs 2 to 256"),
    ],
)
def test_refuses_arrays_that_are_not_a_data_set(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make(**changes)


def test_the_hash_covers_shapes_images_labels_and_names() -> None:
    digest = hashlib.sha256()
    for images, labels in ((TRAIN, TRAIN_LABELS), (TEST, TEST_LABELS)):
        digest.update(json.dumps(list(images.shape)).encode())
        digest.update(images.tobytes())
        digest.update(labels.astype("<i8").tobytes())
    digest.update(b'["0", "1", "2"]')
    assert make().sha256 == digest.hexdigest()


def test_the_hash_changes_with_anything_that_matters_and_nothing_else() -> None:
    pixel = TEST.copy()
    pixel[-1, -1, -1] ^= 1
    label = TEST_LABELS.copy()
    label[0] = 1
    turned = {"train_images": TRAIN.reshape(30, 5, 6), "test_images": TEST.reshape(9, 5, 6)}
    changes: list[dict[str, Any]] = [
        {},
        {"test_images": pixel},
        {"test_labels": label},
        {"class_names": ["a", "b", "c"]},
        turned,
    ]
    assert len({make(**change).sha256 for change in changes}) == len(changes)
    assert make(name="other", mirror_keeps_class=True).sha256 == make().sha256
    assert make(train_images=np.asfortranarray(TRAIN)).sha256 == make().sha256


def test_the_hash_of_views_that_are_not_contiguous() -> None:
    strided = Split(np.repeat(TRAIN, 2, axis=0)[::2], np.repeat(TRAIN_LABELS, 2)[::2])
    test = Split(TEST, TEST_LABELS)
    assert content_sha256(strided, test, ("0", "1", "2")) == make().sha256


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("fashion-mnist", "fashion-mnist"),
        ("My Photos (2)", "my-photos-2"),
        ("../x", "x"),
        ("..", "dataset"),
        ("Привет", "dataset"),
        ("a" * 200, "a" * 60),
    ],
)
def test_slug(name: str, slug: str) -> None:
    assert make(name=name).slug == slug


def test_written_arrays_come_back_the_same(tmp_path: Path) -> None:
    dataset = make(class_names=["été", "T-shirt/top", "c d"], name="My x", mirror_keeps_class=True)
    dataset.write_idx(tmp_path / "new" / "folder")
    back = load_dataset(tmp_path / "new" / "folder")
    assert back.sha256 == dataset.sha256
    assert back.class_names == dataset.class_names
    assert back.name == "My x"
    assert back.mirror_keeps_class
    assert back.location == tmp_path / "new" / "folder"


def test_writing_over_another_data_set_replaces_it(small: Path, tmp_path: Path) -> None:
    load_dataset(small).write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"left over")
    make().write_idx(tmp_path)
    assert load_dataset(tmp_path).sha256 == make().sha256


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="can't be written: Not a directory"):
        make().write_idx(tmp_path / "file" / "below")


def test_its_errors_are_user_errors() -> None:
    with pytest.raises(FittingroomError):
        make(class_names=["only"])
    with pytest.raises(ValueError, match="classes"):
        make(class_names=["only"])
