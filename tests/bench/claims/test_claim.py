from __future__ import annotations

import pytest

from fittingroom.bench.claims.claim import NOTES, ClaimSplit, Figure, nearest
from fittingroom.bench.claims.claim_file import claim_names, load_claims


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [("0.8414", 0.8414, 5e-5), ("0.88", 0.88, 5e-3), ("89%", 0.89, 5e-3), ("2.5%", 0.025, 5e-4)],
)
def test_a_figure_stands_for_all_that_round_to_it(text: str, value: float, half: float) -> None:
    figure = Figure.parse(text)
    assert (figure.value, figure.half_digit) == pytest.approx((value, half))
    assert figure.bounds == pytest.approx((value - half, value + half))


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        (ClaimSplit(kind="official"), (60_000, 0, 10_000)),
        (ClaimSplit(kind="official", validation=0.1), (54_000, 6000, 10_000)),
        (ClaimSplit(kind="pooled", test=0.2), (56_000, 0, 14_000)),
        (ClaimSplit(kind="pooled", test=0.2, validation=0.25), (42_000, 14_000, 14_000)),
        (ClaimSplit(kind="pooled", validation=0.5), (35_000, 35_000, 0)),
    ],
)
def test_a_split_takes_shares_of_what_is_left(
    split: ClaimSplit, parts: tuple[float, float, float]
) -> None:
    assert split.parts(60_000, 10_000) == pytest.approx(parts)


def test_an_order_claims_no_figure() -> None:
    claims = load_claims(claim_names())
    assert {claim.kind for claim in claims if claim.figure is None} == {"order"}
    assert all(claim.figure is None for claim in claims if claim.kind == "order")


def test_the_nearest_value_is_by_ratio() -> None:
    assert nearest([1.0, 3.0, 10.0], 5.0) == 3.0
    assert nearest([1.0, 3.0, 10.0], 6.0) == 10.0


def test_every_note_is_explained() -> None:
    used = {note for claim in load_claims(claim_names()) for note in claim.protocol}
    assert used == set(NOTES), "each occurs in the published claims"
