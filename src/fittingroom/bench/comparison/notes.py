"""What a reader must know before trusting a leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fittingroom.bench.comparison.rows import Row
from fittingroom.evaluation.agreement import average
from fittingroom.evaluation.relabelling import relabelling
from fittingroom.formatting import shorten
from fittingroom.runs.dataset_card import DatasetCard
from fittingroom.runs.run import Part, Run

#: Fewer near copies can't change an accuracy by as much as its interval is wide.
MENTIONED = 0.01


def notes_of(
    card: DatasetCard,
    rows: Sequence[Row],
    finished: Mapping[str, Sequence[Run]],
    parts: Mapping[str, Sequence[Part]],
) -> tuple[str, ...]:
    """Sentences about the data, then about what else differs between the rows than the models.

    Parameters
    ----------
    rows : of the table
    finished : the runs of complete rows, by label
    parts : their predictions for the test images, by label
    """
    return (
        *_data_notes(card, parts),
        *_numbering_note(finished, parts, card),
        *_comparability_notes(rows, finished, parts),
    )


def join_values(values: Iterable[str | None]) -> str | None:
    """The distinct values as text, None if there are none."""
    return ", ".join(sorted({value for value in values if value is not None})) or None


def _data_notes(card: DatasetCard, parts: Mapping[str, Sequence[Part]]) -> list[str]:
    """What a reader must know about the data before trusting any figure."""
    notes = []
    if copied := card.copied_test_images:
        notes.append(
            f"{copied:,} of {card.test_images:,} test images are exact copies of training images; "
            "correct predictions of those say nothing about new images."
        )
    if (near := card.nearly_copied_share or 0.0) >= MENTIONED:
        notes.append(
            f"About {near:.0%} of the test images are nearly the same as a training image; "
            "`fittingroom data --report` shows them."
        )
    if groups := card.repeated_test_images:
        notes.append(
            f"{sum(map(len, groups)):,} of {card.test_images:,} test images are exact copies of "
            f"one another; in intervals and tests they count as {len(groups):,}."
        )
    if untrained := card.untrained_classes:
        notes.append(
            f"Classes without training images, which no model can learn: {_names(untrained)}."
        )
    labels = next(iter(parts.values()))[0].labels if parts else np.arange(len(card.class_names))
    untested = [name for i, name in enumerate(card.class_names) if i not in labels]
    if untested:
        notes.append(f"Classes without test images, which are not evaluated: {_names(untested)}.")
    return notes


def _numbering_note(
    finished: Mapping[str, Sequence[Run]], parts: Mapping[str, Sequence[Part]], card: DatasetCard
) -> list[str]:
    """Warn if the fitted models together suggest that test labels number the classes otherwise."""
    fitted = [
        part
        for label, by_seed in parts.items()
        for part in by_seed
        if finished[label][0].record.family != "added"
    ]
    if not fitted:
        return []
    predicted = average([part.probabilities for part in fitted]).argmax(axis=1)
    other = relabelling(predicted, fitted[0].labels, len(card.class_names))
    if other is None:
        return []
    return [
        "The predictions suggest that the test labels number the classes differently from the "
        f"training labels: {other.sentence(card.class_names)}. Check the labels."
    ]


def _comparability_notes(
    rows: Sequence[Row], finished: Mapping[str, Sequence[Run]], parts: Mapping[str, Sequence[Part]]
) -> list[str]:
    """What a reader must know before trusting a comparison of these rows."""
    notes = []
    notes += _single_seed_notes(rows)
    certain = [label for label, by_seed in parts.items() if _gives_labels_only(by_seed[0])]
    if certain:
        notes.append(
            f"Probabilities are all 0 or 1, so log loss means little: {', '.join(certain)}."
        )
    unhashed = [
        label for label, runs in finished.items() if any(run.record.files is None for run in runs)
    ]
    if unhashed:
        notes.append(
            "Saved by version 0.1, without hashes that would reveal a later change: "
            f"{', '.join(unhashed)}."
        )
    same_start = [label for label, runs in finished.items() if _starts_the_same(runs)]
    if same_start:
        notes.append(
            "Every seed starts from the same weights, so the spread over seeds is understated: "
            f"{', '.join(same_start)}. Give a function that builds the module."
        )
    notes += [
        f"{label} is refitted in every comparison: {reason}."
        for label, runs in finished.items()
        if (reason := runs[0].record.spec.not_found_again) is not None
    ]
    if len({row.trained_on for row in rows if row.test and row.trained_on}) > 1:
        notes.append("The rows were trained on different numbers of images.")
    runs = [run for by_seed in finished.values() for run in by_seed if run.record.family != "added"]
    precisions = {run.record.precision for run in runs} - {None}
    if len(precisions) > 1:
        notes.append(
            f"The networks were trained in different precisions: {join_values(precisions)}."
        )
    engines = {run.record.engine for run in runs if run.record.family == "classical"}
    if len(engines) > 1:
        notes.append(
            f"The classical models were fitted by different engines: {join_values(engines)}."
        )
    for name in sorted({name for run in runs for name in run.record.environment}):
        values = {str(run.record.environment.get(name)) for run in runs}
        if len(values) > 1:
            notes.append(f"The runs were made with different {name}: {join_values(values)}.")
    return notes


def _single_seed_notes(rows: Sequence[Row]) -> list[str]:
    """What the intervals of models with one seed are based on."""
    notes = []
    single = [r for r in rows if r.test and r.seeds == 1 and not r.deterministic]
    if known := [r.model for r in single if r.test and r.test.ci95]:
        notes.append(
            f"Only one seed for {', '.join(known)}: intervals and ranks rely on how much such "
            "recipes vary between seeds; more seeds make them narrower."
        )
    if unknown := [r.model for r in single if r.test and not r.test.ci95]:
        notes.append(
            f"Only one seed for {', '.join(unknown)}, and the variation between seeds is unknown, "
            "so they can't be told apart from any other model; run more seeds."
        )
    return notes


def _names(names: Sequence[str]) -> str:
    """Names of classes; of many, the first ones."""
    named = shorten(names, 40)
    more = [f"and {len(named) - 5} others"] if len(named) > 8 else []
    return ", ".join([*named[:5], *more] if more else named)


def _starts_the_same(runs: Sequence[Run]) -> bool:
    """Whether the runs are of a torch module that was given as an instance, with its weights."""
    record = runs[0].record
    parameters = record.spec.parameters
    is_network = record.family == "own" and parameters.get("class") == "NetworkClassifier"
    if not is_network or len(runs) == 1:
        return False
    from fittingroom.models.network import NETS  # imports torch, which no other table needs

    # A function isn't among the parameters that are shown; one of our networks is, by its name.
    return parameters.get("net", "mlp") not in NETS


def _gives_labels_only(part: Part) -> bool:
    return bool(np.isin(part.probabilities, (0.0, 1.0)).all())
