"""The page of claims that were checked: a card a claim, with a picture of its figures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fittingroom.bench.claims.verdict import VERDICTS, meaning
from fittingroom.bench.claims.verification import COLUMNS, NUMBERS, cells
from fittingroom.reporting.claim_figure import claim_figure
from fittingroom.reporting.page import render_page
from fittingroom.reporting.style import inline_svg
from fittingroom.reporting.words import listed
from fittingroom.table import csv_text, markdown_table, paragraph, text_table

if TYPE_CHECKING:
    from fittingroom.bench.claims.verdict import Score
    from fittingroom.bench.claims.verification import ClaimResult, ClaimsReport


def render_claims(verification: ClaimsReport) -> str:
    """The whole page. The same verification gives the same text, to the byte."""
    return render_page(
        "claims.html",
        verification=verification,
        summary=_summary(verification),
        columns=COLUMNS,
        numbers=NUMBERS,
        rows=[cells(checked) for checked in verification.claims],
        cards=[_card(checked) for checked in verification.claims],
        verdicts=VERDICTS,
    )


def claims_text(verification: ClaimsReport) -> str:
    """The table of a terminal, and a note on each claim."""
    table = text_table(COLUMNS, map(cells, verification.claims), NUMBERS)
    notes = [f"\n{checked.claim.id}: {checked.note}" for checked in verification.claims]
    return "\n".join([table, f"\n{verification.of_intervals}", *notes])


def claims_markdown(verification: ClaimsReport) -> str:
    """The table for a README, with the answer above it and the notes below."""
    table = markdown_table(COLUMNS, map(cells, verification.claims), NUMBERS)
    notes = [paragraph(f"{each.claim.id}: {each.note}") for each in verification.claims]
    parts = [paragraph(_summary(verification)), table, paragraph(verification.of_intervals)]
    return "\n\n".join([*parts, *notes]) + "\n"


def claims_csv(verification: ClaimsReport) -> str:
    """Every figure, a line per claim."""
    score = ("accuracy", "low", "high", "seeds")
    return csv_text(
        (
            *("claim", "claimed", "verdict"),
            *(f"{arm}_{name}" for arm in ("as_claimed", "honest") for name in score),
            "note",
        ),
        (
            (
                *(each.claim.id, each.claim.claimed, each.finding.verdict),
                *_score(each.finding.as_claimed),
                *_score(each.finding.honest),
                each.note,
            )
            for each in verification.claims
        ),
    )


def _score(score: Score) -> tuple[float | None, ...]:
    low, high = score.interval.bounds if score.interval else (None, None)
    return score.accuracy, low, high, score.seeds


def _summary(verification: ClaimsReport) -> str:
    counts = Counter(checked.finding.verdict for checked in verification.claims)
    counted = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    n = len(verification.claims)
    return f"{n} published claim{'s' * (n > 1)}: {listed(counted)}."


def _card(checked: ClaimResult) -> dict[str, Any]:
    claim, finding = checked.claim, checked.finding
    return {
        "id": claim.id,
        "title": claim.title,
        "claimed": claim.claimed,
        "says": claim.says,
        "verdict": finding.verdict,
        "meaning": meaning(claim.kind, finding.verdict),
        "note": checked.note,
        "source": claim.source,
        "recipe": claim.recipe,
        "protocol": claim.protocol,
        "picture": _picture(checked),
    }


def _picture(checked: ClaimResult) -> Markup | None:
    bars = checked.finding.bars
    if not bars:
        return None
    told = "; ".join(
        f"{bar.label} {bar.value:.4f}"
        + (f" ({bar.interval.low:.4f} to {bar.interval.high:.4f})" if bar.interval else "")
        for bar in bars
    )
    difference = checked.claim.kind == "difference"
    return inline_svg(claim_figure(bars, difference=difference), f"{checked.claim.id}: {told}")
