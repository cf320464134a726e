"""The section of a comparison's page on two models: what one of them fixes and breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fittingroom.bench.comparison.analysis import PairAnalysis
from fittingroom.evaluation.examples import newly_correct
from fittingroom.reporting import words
from fittingroom.reporting.gallery import Captioned, gallery
from fittingroom.reporting.sprite import Sprite

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis

#: Images shown that only one of the models gets right, each way.
FIXED = 8


@dataclass(frozen=True)
class ClassRow:
    """Images of one class that only one of two models classifies correctly."""

    name: str
    fixed: int
    broken: int


@dataclass(frozen=True)
class PairSection:
    """What the page shows of two models, `b` in comparison with `a`."""

    a: str
    b: str
    finding: str
    by_class: Sequence[ClassRow]
    fixed: Sequence[Captioned]
    broken: Sequence[Captioned]


def analyse_pair(analysis: Analysis, a: str, b: str) -> PairAnalysis | None:
    """Compare two models of the table in this order; None if they weren't tested together."""
    for pair in analysis.board.pairs:
        if {pair.a, pair.b} == {a, b}:
            break
    else:
        return None
    before, after = (analysis.models[name].probabilities for name in (a, b))
    labels = analysis.labels
    return PairAnalysis(
        pair=pair if pair.a == a else pair.reversed,
        fixed=newly_correct(before, after, labels),
        broken=newly_correct(after, before, labels),
    )


def pair_section(pair: PairAnalysis, analysis: Analysis, sprite: Sprite | None) -> PairSection:
    """The section of a pair; images become tiles of the sprite."""
    a, b, labels = pair.pair.a, pair.pair.b, analysis.labels
    by_class = [
        ClassRow(
            name,
            int((labels[pair.fixed] == label).sum()),
            int((labels[pair.broken] == label).sum()),
        )
        for label, name in enumerate(analysis.board.class_names)
    ]
    return PairSection(
        a=a,
        b=b,
        finding=words.close_pair(pair),
        by_class=[row for row in by_class if row.fixed or row.broken],
        fixed=gallery(analysis, sprite, pair.fixed[:FIXED], a),
        broken=gallery(analysis, sprite, pair.broken[:FIXED], b),
    )
