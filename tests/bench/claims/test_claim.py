from __future__ import annotations

import pytest

from fittingroom.bench.claims.claim import NOTES, Figure, nearest
from fittingroom.bench.claims.claim_file import claim_names, load_claims


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [("0.8414", 0.8414, 5e-5), ("0.88", 0.88, 5e-3), ("89%", 0.89, 5e-3), ("2.5%", 0.025, 5e-4)],
)
def test_a_figure_stands_for_all_that_round_to_it(text: str, value: float, half: float) -> None:
    figure = Figure.parse(text)
    assert (figure.value, figure.half_digit) == pytest.approx((value, half))
    assert figure.bounds == pytest.approx((value - half, value + half))


def test_the_nearest_value_is_by_ratio() -> None:
    assert nearest([1.0, 3.0, 10.0], 5.0) == 3.0
    assert nearest([1.0, 3.0, 10.0], 6.0) == 10.0


def test_every_note_is_explained() -> None:
    used = {note for claim in load_claims(claim_names()) for note in claim.protocol}
    assert used == set(NOTES), "each occurs in the published claims"
