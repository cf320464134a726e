"""What a leaderboard says, in words. Every sentence is computed from its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fittingroom.bench.leaderboard import Leaderboard, Pair, Row


def summary(leaderboard: Leaderboard) -> str:
    """Which model is best, by how much, and how sure that is: one or two sentences."""
    tested = [row for row in leaderboard.rows if row.test is not None]
    if not tested:
        return "No model has test figures."
    best, others = tested[0], tested[1:]
    if not others:
        return f"{best.model} reaches {_figures(best)}; there is nothing to compare it with."
    alike = best.indistinguishable_from
    if alike:
        beaten = [row.model for row in others if row.model not in alike]
        rest = f"; it is better than {_some(beaten)}" if beaten else ""
        first = f"{best.model} comes first with {_figures(best)}"
        return f"{first}, but can't be told apart from {listed(alike)}{rest}."
    pair = _pair(leaderboard.pairs, best.model, others[0].model)
    ahead = f", {_lead(pair, best.model)} ahead of {others[0].model}" if pair else ""
    return f"{best.model} is best: {_figures(best)}{ahead}."


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def fitted(row: Row) -> str:
    """How often the model was fitted: "3 seeds", "one seed", "fitted once"."""
    if row.deterministic:
        return "fitted once"
    return "one seed" if row.seeds == 1 else f"{row.seeds} seeds"


def _figures(row: Row) -> str:
    assert row.test is not None
    low, high = row.test.ci95
    once = "deterministic" if row.deterministic else fitted(row)
    return f"{row.test.accuracy:.1%} (95% interval {100 * low:.1f}–{100 * high:.1f}, {once})"


def _some(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= 3 else f"the other {len(names)} models"


def _pair(pairs: Sequence[Pair], first: str, second: str) -> Pair | None:
    return next((pair for pair in pairs if {pair.a, pair.b} == {first, second}), None)


def _lead(pair: Pair, model: str) -> str:
    """By how many points `model` is ahead, with the interval the right way round."""
    low, high = pair.ci95 if pair.a == model else (-pair.ci95[1], -pair.ci95[0])
    points = abs(100 * pair.difference)
    return f"{points:.1f} points (95% interval {100 * low:.1f}–{100 * high:.1f})"
