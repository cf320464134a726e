"""The pages of a hyperparameter search and of a learning rate range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fittingroom.models.settings import text_of
from fittingroom.reporting import tune_figures, tune_words
from fittingroom.reporting.page import FigureCard, render_page
from fittingroom.reporting.style import draw
from fittingroom.table import csv_text, escape_paragraph, latex_table, markdown_table

if TYPE_CHECKING:
    from fittingroom.bench.tuning.tuning import Trial, Tuning
    from fittingroom.training.rate_range import RateRange


def render_tuning(tuning: Tuning, command: str | None = None) -> str:
    """The whole page of a search; equal searches give byte-identical text.

    `command` resumes the search.
    """
    names = list(tuning.space.dimensions)
    rows = [{"trial": trial, "settings": _values(trial, names)} for trial in tuning.trials]
    return render_page(
        "tune.html",
        tuning=tuning,
        title=tuning.dataset_title,
        summary=tune_words.best_trial(tuning),
        sentences=[*_sentences(tuning)[1:], tune_words.trial_counts(tuning)],
        best={} if tuning.best is None else _texts(tuning.best.settings or {}),
        names=names,
        fixed=_texts(tuning.space.fixed),
        rows=rows,
        pictures=_pictures(tuning),
        command=command,
    )


def tuning_text(tuning: Tuning) -> str:
    """The result for a terminal: the summary, and how to use and compare the best settings."""
    lines = _sentences(tuning)
    if tuning.best is not None:
        lines += [f"\n{tuning.command}", "\nTo compare these settings with the model's own:"]
        lines.append(tuning.comparison)
    return "\n".join(lines)


def tuning_markdown(tuning: Tuning) -> str:
    """The trials as a table for a README, with the summary above it."""
    table = markdown_table(*_trial_table(tuning))
    return "\n\n".join([*map(escape_paragraph, _sentences(tuning)), table]) + "\n"


def tuning_latex(tuning: Tuning) -> str:
    """The trials as a table for a paper, with the summary as comments above it."""
    return latex_table(*_trial_table(tuning), above=_sentences(tuning))


def _trial_table(tuning: Tuning) -> tuple[list[str], list[list[str]], set[str]]:
    """Columns, cells and the names of the columns with numbers."""
    names = list(tuning.space.dimensions)
    rows = [
        [
            *(str(trial.number), *_values(trial, names)),
            *("" if trial.accuracy is None else f"{trial.accuracy:.4f}", trial.status),
        ]
        for trial in tuning.trials
    ]
    return ["trial", *names, "accuracy", "status"], rows, {"trial", "accuracy"}


def trials_csv(tuning: Tuning) -> str:
    """Every value, one line per trial, one column per searched setting."""
    names = list(tuning.space.dimensions)
    return csv_text(
        (*("trial", "status", "accuracy", "fit_seconds", "kept_epoch"), *names, "reason", "run"),
        (
            (
                *(trial.number, trial.status, trial.accuracy, trial.fit_seconds, trial.kept_epoch),
                *_values(trial, names),
                *(trial.reason, trial.run),
            )
            for trial in tuning.trials
        ),
    )


def render_rate_range(model: str, rates: RateRange, title: str, command: str | None = None) -> str:
    """The whole page of a learning rate range test."""
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


def _sentences(tuning: Tuning) -> list[str]:
    """The best trial, its optimism, and the test accuracy, as far as they are known."""
    sentences = (
        tune_words.best_trial(tuning),
        tune_words.selection_bias(tuning),
        tune_words.final_fit(tuning),
    )
    return [sentence for sentence in sentences if sentence]


def _values(trial: Trial, names: Sequence[str]) -> list[str]:
    """The trial's values of the named settings, as text."""
    return [text_of((trial.settings or {}).get(name, "")) for name in names]


def _texts(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(value) for name, value in settings.items()}


def _pictures(tuning: Tuning) -> list[FigureCard]:
    if tuning.best is None:
        return []
    summary = tune_words.best_trial(tuning)
    pictures = [
        draw(
            "Optimization history",
            tune_figures.history(tuning),
            f"Accuracy by trial. {summary}",
            "Accuracy of each trial on the selection images, and the best so far.",
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
            f"Accuracy against each setting. {summary}",
            "Each point is a trial; the best is blue. The other settings vary too, so a panel "
            "shows where good trials lie, not the effect of one setting alone.",
        )
    )
    pictures.append(
        draw(
            "Parallel coordinates",
            tune_figures.parallel_coordinates(tuning),
            f"Every trial as a line through its settings. {summary}",
            "Each line is a trial; darker lines are better, and the best is blue.",
        )
    )
    return pictures
