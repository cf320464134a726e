"""What `fittingroom data` shows: counts, pixel statistics, hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.data import idx
from fittingroom.data.catalog import row_with
from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.mapped import pieces
from fittingroom.data.rendering import Preparation


@dataclass(frozen=True)
class SplitDescription:
    """One split: number of images, in all and per class, and statistics of its pixels (0..255)."""

    images: int
    counts: Mapping[str, int]  # by class name, in the labels' order
    pixel_min: int
    pixel_max: int
    pixel_mean: float
    pixel_sd: float
    pixel_histogram: tuple[int, ...]  # how often each of 0..255 occurs


@dataclass(frozen=True)
class DatasetDescription:
    """A data set in figures.

    Attributes
    ----------
    shape : height and width in pixels
    preparation : how its images were made from pictures, see `preparation.prepare`
    sha256 : the content hash, see `Dataset`
    files : the SHA-256 of the catalogue's four decompressed IDX files, None for data that isn't in
        the catalogue
    """

    name: str
    title: str
    shape: tuple[int, int]
    class_names: tuple[str, ...]
    mirror_keeps_class: bool
    preparation: Preparation
    train: SplitDescription
    test: SplitDescription
    sha256: str
    files: Mapping[str, str] | None
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and numbers, with a `schema_version`."""
        plain = asdict(self)
        plain["shape"] = list(self.shape)
        plain["class_names"] = list(self.class_names)
        for split in ("train", "test"):
            plain[split]["pixel_histogram"] = list(plain[split]["pixel_histogram"])
        return {"schema_version": 1, **plain}


def describe(dataset: Dataset) -> DatasetDescription:
    """Compute a data set's statistics; its content decides whether it is in the catalogue."""
    arrays = dataset.idx_arrays()
    row = row_with(lambda name: idx.array_sha256(arrays[name]))
    return DatasetDescription(
        name=dataset.name,
        title=row.title if row else dataset.name,
        shape=dataset.image_shape,
        class_names=dataset.class_names,
        mirror_keeps_class=dataset.mirror_keeps_class,
        preparation=dataset.preparation,
        train=_describe_split(dataset.train, dataset.class_names),
        test=_describe_split(dataset.test, dataset.class_names),
        sha256=dataset.sha256,
        files=dict(row.sha256) if row else None,
        source=dataset.source,
    )


def _describe_split(split: Split, class_names: tuple[str, ...]) -> SplitDescription:
    counts = np.bincount(split.labels, minlength=len(class_names))
    histogram = _pixel_histogram(split.images)
    values = np.arange(256)
    present = values[histogram > 0]
    mean = float(histogram @ values / histogram.sum())
    variance = float(histogram @ (values - mean) ** 2 / histogram.sum())
    return SplitDescription(
        images=len(split),
        counts=dict(zip(class_names, counts.tolist(), strict=True)),
        pixel_min=int(present[0]),
        pixel_max=int(present[-1]),
        pixel_mean=mean,
        pixel_sd=variance**0.5,
        pixel_histogram=tuple(histogram.tolist()),
    )


def _pixel_histogram(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each of the 256 values occurs."""
    histogram = np.zeros(256, dtype=np.int64)
    for piece in pieces(images):
        for batch in np.array_split(piece, max(1, len(piece) // 1000)):  # bincount widens to int64
            histogram += np.bincount(batch.ravel(), minlength=256)
    return histogram
