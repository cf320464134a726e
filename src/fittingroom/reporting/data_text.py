"""A data set as text for a terminal, without matplotlib, so that it is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fittingroom.formatting import shorten
from fittingroom.table import text_table

if TYPE_CHECKING:
    from fittingroom.data.describe import DatasetDescription


def data_text(description: DatasetDescription) -> str:
    """The description as a table."""
    height, width = description.shape
    names = shorten(description.class_names, 40)  # --json has them in full
    splits = {"train": description.train, "test": description.test}
    rows = [
        ["images", *(f"{split.images:,}" for split in splits.values())],
        *(
            [short, *(f"{split.counts[name]:,}" for split in splits.values())]
            for short, name in zip(names, description.class_names, strict=True)
        ),
        ["pixel minimum", *(str(split.pixel_min) for split in splits.values())],
        ["pixel maximum", *(str(split.pixel_max) for split in splits.values())],
        ["pixel mean", *(f"{split.pixel_mean:.3f}" for split in splits.values())],
        ["pixel sd", *(f"{split.pixel_sd:.3f}" for split in splits.values())],
    ]
    order = "" if height == width else " (height x width)"
    effect = "keeps" if description.mirror_keeps_class else "may change"
    return "\n".join(
        [
            f"{description.title}: greyscale images of {height} x {width} pixels{order}, "
            f"{len(description.class_names)} classes; mirroring {effect} the class",
            f"preparation of pictures: {description.preparation}",
            f"source: {description.source}",
            f"sha256 {description.sha256}",
            "",
            text_table(["", *splits], rows, right=set(splits)),
        ]
    )
