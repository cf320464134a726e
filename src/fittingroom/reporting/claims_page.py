"""The page of checked claims: one card per claim, with a plot of its values."""

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
from fittingroom.table import csv_text, escape_paragraph, latex_table, markdown_table, text_table

if TYPE_CHECKING:
    from fittingroom.bench.claims.verdict import Score
    from fittingroom.bench.claims.verification import ClaimResult, ClaimsReport


def render_claims(verification: ClaimsReport) -> str:
    """The whole page; equal reports give byte-identical text."""
    return render_page(
        "claims.html",
        verification=verification,
        summary=_summary(verification),
        columns=COLUMNS,
        numbers=NUMBERS,
        rows=[cells(result) for result in verification.claims],
        cards=[_card(result) for result in verification.claims],
        verdicts=VERDICTS,
    )


def claims_text(verification: ClaimsReport) -> str:
    """The table for a terminal, and a note on each claim."""
    table = text_table(COLUMNS, map(cells, verification.claims), NUMBERS)
    notes = [f"\n{result.claim.id}: {result.note}" for result in verification.claims]
    return "\n".join([table, f"\n{verification.interval_note}", *notes])


def claims_latex(verification: ClaimsReport) -> str:
    """The table for a paper, with the summary as comments above it."""
    above = [_summary(verification), verification.interval_note]
    return latex_table(COLUMNS, map(cells, verification.claims), NUMBERS, above)


def claims_markdown(verification: ClaimsReport) -> str:
    """The table for a README, with the summary above it and the notes below."""
    table = markdown_table(COLUMNS, map(cells, verification.claims), NUMBERS)
    notes = [
        escape_paragraph(f"{result.claim.id}: {result.note}") for result in verification.claims
    ]
    above, below = (
        escape_paragraph(_summary(verification)),
        escape_paragraph(verification.interval_note),
    )
    return "\n\n".join([above, table, below, *notes]) + "\n"


def claims_csv(verification: ClaimsReport) -> str:
    """Every value, one line per claim."""
    score = ("accuracy", "low", "high", "seeds")
    return csv_text(
        (
            *("claim", "claimed", "verdict"),
            *(f"{arm}_{name}" for arm in ("as_claimed", "honest") for name in score),
            "note",
        ),
        (
            (
                *(result.claim.id, result.claim.claimed, result.judgement.verdict),
                *_score(result.judgement.as_claimed),
                *_score(result.judgement.honest),
                result.note,
            )
            for result in verification.claims
        ),
    )


def _score(score: Score) -> tuple[float | None, ...]:
    low, high = score.interval.bounds if score.interval else (None, None)
    return score.accuracy, low, high, score.n_seeds


def _summary(verification: ClaimsReport) -> str:
    counts = Counter(result.judgement.verdict for result in verification.claims)
    by_verdict = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    n = len(verification.claims)
    return f"{n} published claim{'s' * (n > 1)}: {listed(by_verdict)}."


def _card(result: ClaimResult) -> dict[str, Any]:
    claim, judgement = result.claim, result.judgement
    return {
        "id": claim.id,
        "title": claim.title,
        "claimed": claim.claimed,
        "says": claim.says,
        "verdict": judgement.verdict,
        "meaning": meaning(claim.kind, judgement.verdict),
        "note": result.note,
        "source": claim.source,
        "recipe": claim.recipe,
        "protocol": claim.protocol,
        "picture": _picture(result),
    }


def _picture(result: ClaimResult) -> Markup | None:
    bars = result.judgement.bars
    if not bars:
        return None
    values = "; ".join(
        f"{bar.label} {bar.value:.4f}"
        + (f" ({bar.interval.low:.4f} to {bar.interval.high:.4f})" if bar.interval else "")
        for bar in bars
    )
    difference = result.claim.kind == "difference"
    return inline_svg(claim_figure(bars, difference=difference), f"{result.claim.id}: {values}")
