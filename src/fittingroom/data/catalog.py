"""The data sets that have a name: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fittingroom.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from fittingroom.data.rendering import Preparation

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class DatasetRow:
    """A named data set.

    Attributes
    ----------
    sha256 : hash of each of the four **decompressed** files, since mirrors compress differently
    content : the `Dataset.sha256` of its images, labels and class names
    mirrors : base URLs of the four files, named as usual with `.gz`; one host each
    keras, torchvision : the folder's name in that library's cache, None if it keeps no IDX files
    huggingface : the data set's names at Hugging Face, in whose cache it may be
    debian : the Debian package that installs the files, None if there is none
    preparation : how its images were made from pictures, and so how new pictures are prepared
    photo_odds : how much more often people photograph a class than it occurs in the data set, 1 for
        a class that isn't listed
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    mirror_keeps_class: bool
    sha256: Mapping[str, str]
    content: str
    mirrors: tuple[str, ...]
    licence: str
    citation: str
    preparation: Preparation = "image"
    keras: str | None = None
    torchvision: str | None = None
    huggingface: tuple[str, ...] = ()
    debian: str | None = None
    photo_odds: Mapping[str, float] = field(default_factory=dict)


DATASETS: dict[str, DatasetRow] = {
    "fashion-mnist": DatasetRow(
        name="fashion-mnist",
        title="Fashion-MNIST",
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        mirror_keeps_class=True,
        sha256={
            TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        content="113e73cdb8cbafcde2b04d780350dbc3a49243dd192cd3b417c104123e7efe07",
        mirrors=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking "
        "Machine Learning Algorithms, 2017, arXiv:1708.07747",
        preparation="garment",
        keras="fashion-mnist",
        torchvision="FashionMNIST",
        huggingface=("zalando-datasets/fashion_mnist", "fashion_mnist"),
        debian="dataset-fashion-mnist",
        photo_odds={"T-shirt/top": 1.5, "Pullover": 3, "Bag": 0.3},
    ),
    "mnist": DatasetRow(
        name="mnist",
        title="MNIST",
        class_names=DIGITS,
        mirror_keeps_class=False,
        sha256={
            TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        content="9eca173025d6bdbe339bb158923d853238fc821749a005717d6e8d7b718c466e",
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://raw.githubusercontent.com/fgnt/mnist/master/",
        ),
        licence="CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document "
        "Recognition, Proceedings of the IEEE 86(11), 1998",
        preparation="digit",
        torchvision="MNIST",
        huggingface=("ylecun/mnist", "mnist"),
    ),
}


def row_with(sha256_of: Callable[[str], str]) -> DatasetRow | None:
    """The row whose four decompressed files have these hashes, if any.

    Parameters
    ----------
    sha256_of : gives the hash of a file by its name; called for small files first, and no more once
        no row is left, since images may take many gigabytes
    """
    rows = list(DATASETS.values())
    for name in (TEST_LABELS, TRAIN_LABELS, TEST_IMAGES, TRAIN_IMAGES):
        if rows:
            digest = sha256_of(name)
            rows = [row for row in rows if row.sha256[name] == digest]
    return rows[0] if rows else None


def row_of_content(sha256: str) -> DatasetRow | None:
    """The row of a data set with this content hash, whatever it is called."""
    return next((row for row in DATASETS.values() if row.content == sha256), None)
