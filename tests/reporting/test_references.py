from __future__ import annotations

from fittingroom.data.catalog import DATASETS
from fittingroom.reporting.references import REFERENCES, references_of


def test_references_go_with_the_content_of_the_data() -> None:
    known = {name: references_of(row.content) for name, row in DATASETS.items()}
    assert {name: found for name, found in known.items() if found} == REFERENCES
    assert references_of("0" * 64) == ()
