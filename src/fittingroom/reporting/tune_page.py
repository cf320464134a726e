"""The pages of a search for settings, and of a network's range of learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fittingroom.models.settings import text_of
from fittingroom.reporting import tune_figures, tune_words
from fittingroom.reporting.page import FigureCard, draw, render_page

if TYPE_CHECKING:
    from fittingroom.bench.tuning.tuning import Tuning
    from fittingroom.training.rate_range import RateRange


def render_tuning(tuning: Tuning, title: str, command: str | None = None) -> str:
    """The whole page of a search. The same search gives the same text, to the byte.

    Parameters
    ----------
    tuning : what it shows
    title : of the data set
    command : how to go on with it
    """
    names = list(tuning.space.dimensions)
    rows = [
        {
            "trial": trial,
            "settings": [text_of((trial.settings or {}).get(name, "")) for name in names],
        }
        for trial in tuning.trials
    ]
    return render_page(
        "tune.html",
        tuning=tuning,
        title=title,
        summary=tune_words.found(tuning),
        sentences=[
            sentence
            for sentence in (
                tune_words.worth(tuning),
                tune_words.tested(tuning),
                tune_words.outcomes(tuning),
            )
            if sentence
        ],
        best={} if tuning.best is None else _written(tuning.best.settings or {}),
        names=names,
        fixed=_written(tuning.space.fixed),
        rows=rows,
        pictures=_pictures(tuning),
        command=command,
    )


def render_rate_range(model: str, rates: RateRange, title: str, command: str | None = None) -> str:
    """The whole page of a network's range of learning rates."""
    summary, reason = tune_words.suggestion(model, rates), tune_words.reason(rates)
    picture = draw(
        "Loss vs. learning rate",
        tune_figures.loss_by_rate(rates),
        f"{summary} {reason}",
        "Training loss of each step's batch and its moving average; every step raises the rate by "
        "the same factor. If the rate is too low, the loss hardly falls; if it is too high, the "
        "loss rises again. A good rate usually lies in between, to the left of the minimum.",
    )
    return render_page(
        "rate_range.html",
        model=model,
        title=title,
        summary=summary,
        reason=reason,
        picture=picture,
        command=command,
    )


def _written(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(value) for name, value in settings.items()}


def _pictures(tuning: Tuning) -> list[FigureCard]:
    if tuning.best is None:
        return []
    spoken = tune_words.found(tuning)
    pictures = [
        draw(
            "Optimization history",
            tune_figures.history(tuning),
            f"Accuracy by trial. {spoken}",
            "Accuracy of each trial on the images that select, and the best so far.",
        )
    ]
    if tuning.importance is not None:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in tuning.importance.items())
        pictures.append(
            draw(
                "Hyperparameter importances",
                tune_figures.importances(tuning.importance),
                f"Share of the variance of accuracy by setting: {shares}.",
                "Share of the variance of accuracy over the search space, by functional ANOVA with "
                "a random forest fitted to the trials. It says nothing about settings that were "
                "not searched, and is unreliable with few trials.",
            )
        )
    pictures.append(
        draw(
            "Slice plot",
            tune_figures.slices(tuning),
            f"Accuracy against each setting. {spoken}",
            "Each point is a trial; the best is blue. The other settings vary too, so a panel "
            "shows where good trials lie, not the effect of one setting alone.",
        )
    )
    pictures.append(
        draw(
            "Parallel coordinates",
            tune_figures.parallel_coordinates(tuning),
            f"Every trial as a line through its settings. {spoken}",
            "Each line is a trial; darker lines are better, and the best is blue.",
        )
    )
    return pictures
