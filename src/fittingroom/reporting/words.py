"""Sentences on a comparison, each computed from its results."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.catalog import row_of_content
from fittingroom.errors import install_command
from fittingroom.formatting import format_signed, shorten

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis, ModelAnalysis, PairAnalysis
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.comparison.rows import Pair, Row
    from fittingroom.evaluation.conformal import SetCoverage
    from fittingroom.evaluation.confusion import ConfusionMatrix


#: The most names that a sentence lists; of more, three and the number of others.
MOST = 8
#: Maximum length of a class name in a sentence; tables have it in full.
LONGEST = 40


def summary(leaderboard: Leaderboard) -> str:
    """Which model is best, by how much, and how sure that is."""
    tested = leaderboard.tested
    if not tested:
        return "No model has test results."
    best, others = tested[0], tested[1:]
    if not others:
        return f"{best.model} reaches {_best_accuracy(leaderboard)}; no other model was tested."
    alike = best.indistinguishable_from
    if alike:
        beaten = [row.model for row in others if row.model not in alike]
        rest = f"; it is better than {_some(beaten)}" if beaten else ""
        first = f"{best.model} comes first with {_best_accuracy(leaderboard)}"
        names = alike if len(alike) <= MOST else [*alike[:3], f"{len(alike) - 3} others"]
        return f"{first}, but can't be told apart from {listed(names)}{rest}."
    pair = _pair(leaderboard.pairs, best.model, others[0].model)
    ahead = f", {_lead(pair, best.model)} ahead of {others[0].model}" if pair else ""
    return f"{best.model} is best: {_best_accuracy(leaderboard)}{ahead}."


def findings(analysis: Analysis) -> list[str]:
    """More findings, one sentence each: close pairs, the hardest class."""
    board = analysis.board
    sentences = []
    close = [pair for pair in analysis.close_pairs if pair.pair.a in analysis.models]
    if close:
        pairs = [f"{pair.pair.a} and {pair.pair.b}" for pair in close[:3]]
        more = f"; and {len(close) - 3} other pairs" if len(close) > 3 else ""
        sentences.append(f"Pairs that can't be told apart: {'; '.join(pairs)}{more}.")
    if analysis.models:
        best = next(iter(analysis.models.values()))
        sentence = best.confusion.hardest_sentence(short_names(board.class_names))
        sentences.append(f"For {best.model}: {sentence}")
    return sentences


def hardest_for_all(analysis: Analysis) -> str:
    """The class with the lowest mean F1 over the models, and the one with the highest."""
    means, names = mean_f1(analysis), short_names(analysis.board.class_names)
    hardest, easiest = int(np.nanargmin(means)), int(np.nanargmax(means))
    if means[hardest] == means[easiest]:
        return f"Across models, all classes are equally hard (mean F1 {means[hardest]:.1%})."
    return (
        f"Across models, {names[hardest]} is the hardest class (mean F1 {means[hardest]:.1%}) and "
        f"{names[easiest]} the easiest ({means[easiest]:.1%})."
    )


def mean_f1(analysis: Analysis) -> NDArray[np.float64]:
    """Each class's mean F1 (c,) over the models; NaN if it is undefined for all."""
    f1 = np.stack([model.confusion.f1 for model in analysis.models.values()])  # (models, classes)
    n_defined = (~np.isnan(f1)).sum(axis=0)
    means = np.full(f1.shape[1], np.nan)
    np.divide(np.nansum(f1, axis=0), n_defined, out=means, where=n_defined > 0)
    return means


def most_different(analysis: Analysis) -> str:
    """The two models with the smallest error overlap."""
    assert analysis.agreement is not None
    shared, names = analysis.agreement.shared_mistakes, analysis.agreement.models
    overlap = np.where(np.isnan(shared), np.inf, shared)
    np.fill_diagonal(overlap, np.inf)
    i, j = np.unravel_index(int(overlap.argmin()), overlap.shape)
    if not np.isfinite(overlap[i, j]):
        return "No model makes any errors."
    return (
        f"{names[i]} and {names[j]} have the smallest error overlap: they share {shared[i, j]:.0%} "
        "of the images that at least one of them misclassifies."
    )


def close_pair(analysed: PairAnalysis) -> str:
    """By how much the second of two models leads or trails, and on how many images they differ."""
    pair, points = analysed.pair, -100 * analysed.pair.difference
    lead = f"{abs(points):.2f} points {'ahead of' if points > 0 else 'behind'} {pair.a}"
    if not points:
        lead = f"as accurate as {pair.a}"
    uncertainty = "one seed, so the variation between seeds is unknown"
    if pair.ci95 is not None:
        low, high = (
            format_signed(-100 * end, 2, "").replace("-", "−") for end in reversed(pair.ci95)
        )
        uncertainty = (
            f"95% interval {low} to {high}, p {p_value(pair.p_adjusted)} adjusted for all pairs"
        )
    return (
        f"{pair.b} is {lead} ({uncertainty}). In their first fits, {pair.b} is right on "
        f"{len(analysed.fixed):,} images that {pair.a} gets wrong, and wrong on "
        f"{len(analysed.broken):,} that {pair.a} gets right."
    )


def average(analysis: Analysis) -> str:
    """The score of the weighted average of the best models; empty if there are too few."""
    score = analysis.average
    if score is None:
        return ""
    weights = listed([f"{name} ({weight:.0%})" for name, weight in score.weights.items()])
    low, high = score.these_fits_ci95
    best = next(iter(score.weights))
    return (
        "Weighted average of the calibrated probabilities of the three models that are best on "
        f"validation images: {weights}. Models and weights were selected on the selection half of "
        "the validation part, temperatures fitted on the calibration half. Test "
        f"{analysis.board.figure} "
        f"{score.accuracy:.2%} (95% interval {100 * low:.2f}–{100 * high:.2f}, one fit of each), "
        f"log loss {score.log_loss:.3f}; {best} alone, with the same calibrated fit, has "
        f"{score.best_accuracy:.2%} and {score.best_log_loss:.3f}."
    )


def cite(board: Leaderboard) -> str:
    """What to cite: this comparison, and the data set if its source is known."""
    citation = (
        f"Fittingroom {board.environment.get('fittingroom', '')}, comparison of "
        f"{len(board.rows)} models on {board.dataset_title} (SHA-256 {board.dataset_sha256[:16]}…)."
    )
    row = row_of_content(board.dataset_sha256)
    return f"{citation} Data: {row.citation}." if row else citation


def train_suspects(analysis: Analysis) -> str:
    """How many training labels are doubtful, by which method; or how to find out."""
    suspects = analysis.train_suspects
    if suspects is None:
        return (
            "No model was cross-validated. Run “fittingroom fit MODEL --folds 5” for out-of-fold "
            "probabilities of the training images, which reveal possible label errors."
        )
    n = len(suspects.labels)
    text = (
        f"{len(suspects.suspects):,} of {n:,} training labels may be wrong "
        f"({len(suspects.suspects) / n:.1%}), according to {suspects.suspects.method} on the "
        f"out-of-fold probabilities of {listed(suspects.models)}. The least probable labels are "
        "shown, each with the class that the models suggest and the label's probability."
    )
    if find_spec("cleanlab") is None:
        text += f" For cleanlab's find_label_issues, run {install_command('labels')}."
    return text


def sensitivity(analysis: Analysis) -> str:
    """Whether the order of the models depends on doubtful test labels."""
    result = analysis.sensitivity
    if result is None:
        return ""
    n = len(result.doubtful)
    return (
        f"Test labels are never corrected. To see how much depends on them, {n:,} are excluded "
        "for all models: those that the average of the other models contradicts, whichever model "
        "is left out (first fits). Without them, the order of the models "
        f"{'changes' if result.order_changes else 'stays the same'}."
    )


def calibration(model: ModelAnalysis) -> str:
    """Whether a model is over- or underconfident, and its error after temperature scaling."""
    reliability = model.calibration
    assert reliability is not None
    before, after = (r.expected_calibration_error for r in (reliability.before, reliability.after))
    bias = float(
        np.nansum(
            reliability.before.counts
            * (reliability.before.confidence - reliability.before.accuracy)
        )
    )
    kind = "overconfident" if bias > 0 else "underconfident"
    if before < 0.0005:
        kind = "well calibrated"
    return (
        f"The model is {kind}: expected calibration error {100 * before:.1f}%, and "
        f"{100 * after:.1f}% at temperature {reliability.temperature:.2f} (perfectly calibrated "
        f"probabilities would show {100 * reliability.after.error_by_chance:.1f}% by chance)."
    )


def sets(model: ModelAnalysis, names: Sequence[str]) -> str:
    """Coverage of the prediction sets, over all test images and for the worst class."""
    reliability = model.calibration
    assert reliability is not None

    def coverage(sets: SetCoverage) -> str:
        worst = int(np.nanargmin(sets.by_class))
        return (
            f"{sets.coverage:.0%} of the test images and {sets.by_class[worst]:.0%} of "
            f"{names[worst]}, the worst class, with {sets.mean_size:.2f} classes per set"
        )

    by_class = "at least one class has too few validation images for a threshold of its own"
    if reliability.class_sets is not None:
        by_class = f"one threshold per class, {coverage(reliability.class_sets)}"
    return (
        "Conformal prediction sets with 90% target coverage: one threshold for all classes covers "
        f"{coverage(reliability.sets)}; {by_class}."
    )


def confused_pairs(matrix: ConfusionMatrix, names: Sequence[str]) -> list[str]:
    """The most confused pairs of classes, one sentence each."""
    return [
        f"{names[pair.first]} and {names[pair.second]}: {pair.first_as_second:,.0f} "
        f"{names[pair.first]} predicted as {names[pair.second]}, {pair.second_as_first:,.0f} the "
        "other way round"
        for pair in matrix.most_confused()
    ]


def settings(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A run's parameters as text, flattened; without None, False and empty values."""
    flat: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= settings(value, f"{prefix}{name}." if name != "recipe" else "")
        elif value is not None and value is not False and value != [] and value != {}:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            flat[f"{prefix}{name}"] = text.removeprefix("fittingroom.").removeprefix("sklearn.")
    return flat


def p_value(p: float | None) -> str:
    """A p value with its significant digits; "unknown" for None."""
    if p is None:
        return "unknown"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


@lru_cache(maxsize=8)
def short_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Class names for sentences and captions: shortened, and isolated if right-to-left."""
    return tuple(_isolate(name) for name in shorten(names, LONGEST))


def _isolate(name: str) -> str:
    """The name; if right-to-left, isolated so that it doesn't reorder the text beside it."""
    is_rtl = any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name)
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" if is_rtl else name


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def fit_count(row: Row) -> str:
    """The number of fits: "3 seeds", "one seed" or "deterministic"."""
    if row.deterministic:
        return "deterministic"
    return "one seed" if row.seeds == 1 else f"{row.seeds} seeds"


def _best_accuracy(board: Leaderboard) -> str:
    """The first model's accuracy, with the interval corrected for the winner's curse."""
    best = board.rows[0]
    assert best.test is not None
    share = f"{best.test.headline:.1%}"
    if best.test.balanced_accuracy is not None:
        share = f"a balanced accuracy of {share}"
    if board.winner_ci95 is None:
        return f"{share} ({fit_count(best)}, variation between seeds unknown)"
    low, high = (100 * end for end in board.winner_ci95)
    return f"{share} (95% interval {low:.1f}–{high:.1f}, {fit_count(best)})"


def _some(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= 3 else f"the other {len(names)} models"


def _pair(pairs: Sequence[Pair], first: str, second: str) -> Pair | None:
    return next((pair for pair in pairs if {pair.a, pair.b} == {first, second}), None)


def _lead(pair: Pair, model: str) -> str:
    """By how many points `model` leads, with the interval in that direction."""
    points = abs(100 * pair.difference)
    if pair.ci95 is None:
        return f"{points:.1f} points"
    low, high = pair.ci95 if pair.a == model else (-pair.ci95[1], -pair.ci95[0])
    return f"{points:.1f} points (95% interval {100 * low:.1f}–{100 * high:.1f})"
