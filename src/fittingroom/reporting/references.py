"""Accuracies that others reported on a test split, with their sources."""

from __future__ import annotations

from dataclasses import dataclass

from fittingroom.data.catalog import row_of_content


@dataclass(frozen=True)
class Reference:
    """An accuracy that somebody else reported; `name` is short enough for a figure."""

    name: str
    what: str
    accuracy: float
    source: str


def references_of(sha256: str) -> tuple[Reference, ...]:
    """What others reported on the data with this content hash, whatever the data set's name."""
    row = row_of_content(sha256)
    return REFERENCES.get(row.name, ()) if row else ()


#: By the data set's name in the catalogue.
REFERENCES: dict[str, tuple[Reference, ...]] = {
    "fashion-mnist": (
        Reference(
            name="humans",
            what="Humans without fashion expertise, on 1,000 of the test images",
            accuracy=0.835,
            source="the data set's makers, zalandoresearch/fashion-mnist, README",
        ),
        Reference(
            name="makers' SVM",
            what="The makers' own support vector machine, selected on the test images",
            accuracy=0.897,
            source="Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747, table 3",
        ),
        Reference(
            name="makers' CNN",
            what="The makers' network with two convolutions, best test accuracy during training",
            accuracy=0.916,
            source="zalandoresearch/fashion-mnist, README, “2 Conv+pooling”",
        ),
    )
}
