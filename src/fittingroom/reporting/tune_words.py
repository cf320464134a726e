"""What a search for settings says, in words. Every sentence is computed from its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fittingroom.formatting import signed
from fittingroom.reporting.words import listed
from fittingroom.training.rate_range import LOW, RULE, STEPS

if TYPE_CHECKING:
    from fittingroom.bench.tuning.tuning import Tuning
    from fittingroom.training.rate_range import RateRange


def found(tuning: Tuning) -> str:
    """How good the best trial is."""
    if tuning.best is None:
        return f"No trial of {tuning.model} has a result yet."
    model, _ = tuning.recipe()
    return (
        f"The best of {len(tuning.scored)} trials of {model} has an accuracy of "
        f"{tuning.best.accuracy:.2%} on the images that selected it."
    )


def worth(tuning: Tuning) -> str:
    """How much of the best trial's accuracy is luck of the choice."""
    one = tuning.overstatement
    if one is None:
        return (
            "By how much this overstates its accuracy is unknown: the predictions of some trials "
            "are stored elsewhere."
            if tuning.scored
            else ""
        )
    points = signed(100 * one.overstated, 2, "").replace("-", "−")
    by = f"{tuning.folds} folds" if tuning.folds else "the selection half of the validation part"
    return (
        f"It was selected from {one.models} trials on {one.images:,} images ({by}), so this is "
        f"expected to be {points} points too high: {one.expected:.2%} on new images (95% interval "
        f"{100 * one.interval.low:.1f}–{100 * one.interval.high:.1f}, bootstrap bias correction)."
    )


def tested(tuning: Tuning) -> str:
    """The best settings on the test split, if they were tried there."""
    one = tuning.tested
    if tuning.untested is not None:
        return f"The final fit with the best settings failed: {tuning.untested}"
    if one is None:
        return "There was no final fit, so this search didn't read the test split."
    low, high = (100 * end for end in one.this_fit_ci95)
    return (
        f"Final fit with the best settings: test accuracy {one.accuracy:.2%} (95% interval for "
        f"this fit {low:.1f}–{high:.1f}; another seed gives another fit)."
    )


def outcomes(tuning: Tuning) -> str:
    """How the trials ended, and what is left to do."""
    counts = {
        "finished": len(tuning.scored),
        "pruned as worse than the median": _count(tuning, "pruned"),
        "failed": _count(tuning, "failed", "nan", "out-of-memory"),
        "running": _count(tuning, "running"),
        "waiting to be retried": _count(tuning, "waiting"),
    }
    told = listed([f"{count} {what}" for what, count in counts.items() if count]) or "none yet"
    done = tuning.complete and not tuning.interrupted
    left = "" if done else " The same command resumes the search."
    return f"Trials: {told}, of {max(tuning.asked, len(tuning.trials))}.{left}"


def suggestion(model: str, rates: RateRange) -> str:
    """The learning rate to try."""
    return f"Try a learning rate of {rates.suggested:g} for {model}."


def reason(rates: RateRange) -> str:
    """By what rule the learning rate is suggested, and how far the rate rose."""
    end = "then the loss diverged" if rates.exploded else "the loss never diverged"
    return (
        f"That is {RULE} ({rates.lowest:.2g}). The rate rose from {LOW:g} to "
        f"{rates.rates[-1]:.2g} in {len(rates.rates)} of {STEPS} steps; {end}."
    )


def _count(tuning: Tuning, *statuses: str) -> int:
    return sum(trial.status in statuses for trial in tuning.trials)
