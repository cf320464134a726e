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

if TYPE_CHECKING:
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
