"""Sentences on a hyperparameter search, each computed from its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fittingroom.formatting import format_signed
from fittingroom.reporting.words import listed
from fittingroom.training.rate_range import LOW, RULE, STEPS

if TYPE_CHECKING:
    from fittingroom.bench.tuning.tuning import Tuning
    from fittingroom.training.rate_range import RateRange


def best_trial(tuning: Tuning) -> str:
    """How good the best trial is."""
    if tuning.best is None:
        return f"No trial of {tuning.model} has a result yet."
    model, _ = tuning.recipe()
    return (
        f"The best of {len(tuning.scored)} trials of {model} has an accuracy of "
        f"{tuning.best.accuracy:.2%} on the images that selected it."
    )


def selection_bias(tuning: Tuning) -> str:
    """By how much selection overstates the best trial's accuracy."""
    bias = tuning.overstatement
    if bias is None:
        return (
            "How far this overstates its accuracy is unknown: the predictions of some trials "
            "are stored elsewhere."
            if tuning.scored
            else ""
        )
    points = format_signed(100 * bias.overstated, 2, "").replace("-", "−")
    images = (
        f"{tuning.folds} folds" if tuning.folds else "the selection half of the validation part"
    )
    return (
        f"It was selected from {bias.models} trials on {bias.images:,} images ({images}), so this "
        f"is expected to be {points} points too high: {bias.expected:.2%} on new images (95% "
        f"interval {100 * bias.interval.low:.1f}–{100 * bias.interval.high:.1f}, bootstrap bias "
        "correction)."
    )


def final_fit(tuning: Tuning) -> str:
    """The test accuracy of the best settings, if there was a final fit."""
    scores = tuning.test
    if tuning.test_failure is not None:
        return f"The final fit with the best settings failed: {tuning.test_failure}"
    if scores is None:
        return "There was no final fit, so this search didn't read the test split."
    low, high = (100 * end for end in scores.this_fit_ci95)
    return (
        f"Final fit with the best settings: test accuracy {scores.accuracy:.2%} (95% interval for "
        f"this fit {low:.1f}–{high:.1f}; another seed gives another fit)."
    )


def trial_counts(tuning: Tuning) -> str:
    """How many trials ended how, and whether the search can be resumed."""
    counts = {
        "finished": len(tuning.scored),
        "pruned as worse than the median": _count(tuning, "pruned"),
        "failed": _count(tuning, "failed", "nan", "out-of-memory"),
        "running": _count(tuning, "running"),
        "waiting to be retried": _count(tuning, "waiting"),
    }
    statuses = listed([f"{count} {what}" for what, count in counts.items() if count]) or "none yet"
    done = tuning.complete and not tuning.interrupted
    resume = "" if done else " The same command resumes the search."
    return f"Trials: {statuses}, of {max(tuning.n_trials, len(tuning.trials))}.{resume}"


def suggestion(model: str, rates: RateRange) -> str:
    """The learning rate to try."""
    return f"Try a learning rate of {rates.suggested:g} for {model}."


def reason(rates: RateRange) -> str:
    """The rule behind the suggested learning rate, and the range that was tested."""
    end = "then the loss diverged" if rates.exploded else "the loss never diverged"
    return (
        f"That is {RULE} ({rates.lowest:.2g}). The rate rose from {LOW:g} to "
        f"{rates.rates[-1]:.2g} in {len(rates.rates)} of {STEPS} steps; {end}."
    )


def _count(tuning: Tuning, *statuses: str) -> int:
    return sum(trial.status in statuses for trial in tuning.trials)
