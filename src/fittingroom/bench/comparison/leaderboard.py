"""The leaderboard: a table computed from saved runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fittingroom.bench.comparison.cells import narrow_cells, wide_cells
from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.groups import Groups, groups_of, left_out
from fittingroom.bench.comparison.notes import join_values, notes_of
from fittingroom.bench.comparison.recipes import (
    are_unbalanced,
    looks_of,
    recipes_of,
    validated_of,
)
from fittingroom.bench.comparison.rows import Pair, Row, Scores
from fittingroom.errors import StoreError, UnknownNameError
from fittingroom.evaluation.confusion import ConfusionMatrix, confusion_matrix, mean_confusion
from fittingroom.evaluation.frames import frame
from fittingroom.evaluation.intervals import Interval
from fittingroom.evaluation.metrics import METRICS
from fittingroom.evaluation.ranking import Ranking, rank_models
from fittingroom.evaluation.recipe_fits import AccuracyEstimate
from fittingroom.json_text import json_text
from fittingroom.runs.run import Part, Run
from fittingroom.runs.store import Saved, Store
from fittingroom.table import html_table, text_table

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA_VERSION = 2
_BALANCED = (
    "The largest class has more than twice as many test images as the smallest, so models are "
    "ranked by balanced accuracy, the mean of the per-class recalls."
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Leaderboard:
    """The answer to "which is better, by how much, and how sure are you?".

    Rows are sorted by mean accuracy, or by the balanced one where the largest class has more than
    twice as many test images as the smallest; rows without a rank come last. `winner_ci95` is the
    interval of the first row's figure, corrected for its selection as the best.
    """

    dataset_name: str
    dataset_title: str
    dataset_sha256: str
    class_names: tuple[str, ...]
    n_test: int
    test_reads: int
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    winner_ci95: tuple[float, float] | None
    notes: tuple[str, ...]
    command: str | None
    confusions: Mapping[str, ConfusionMatrix]
    environment: Mapping[str, str]
    folder: Path = dataclasses.field(compare=False)  # of the runs

    @property
    def balanced(self) -> bool:
        """Whether models are ranked by their balanced accuracy."""
        return any(row.balanced for row in self.rows)

    @property
    def figure(self) -> str:
        """What models are ranked by: "accuracy" or "balanced accuracy"."""
        return "balanced accuracy" if self.balanced else "accuracy"

    @property
    def tested(self) -> list[Row]:
        """The rows with test results."""
        return [row for row in self.rows if row.test is not None]

    @property
    def complete(self) -> bool:
        """Whether every row has its figures."""
        return all(row.status == "ok" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """`leaderboard.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": {"name": self.dataset_name, "sha256": self.dataset_sha256},
            "test_reads": self.test_reads,
            "rows": [row.to_dict() for row in self.rows],
            "pairs": [dataclasses.asdict(pair) for pair in self.pairs],
            "winner_ci95": self.winner_ci95,
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())

    def to_frame(self) -> DataFrame:
        """One row per model, with a column for each score, such as `test_accuracy`.

        Raises UsageError without pandas.
        """
        return frame((_flatten(row) for row in self.rows), index="model")

    @property
    def title(self) -> str:
        """Data set, number of test images, seeds (not of added models) and test reads."""
        fitted = [row for row in self.rows if row.test and row.trained_on]
        seeds = sorted({row.seeds for row in fitted if not row.deterministic})
        fits = f", {'/'.join(map(str, seeds))} seed{'s' * (seeds != [1])}" if seeds else ""
        reads = f"saved runs that read the test split: {self.test_reads}"
        images = f"{self.n_test:,} test image{'s' * (self.n_test != 1)}"
        return f"{self.dataset_title}: {images}{fits}; {reads}"

    def text(self, *, wide: bool = False) -> str:
        """The table for a terminal: with the columns that fit 80, or with all."""
        if wide:
            return f"{self.title}\n\n{text_table(*wide_cells(self.rows))}"
        table = text_table(*narrow_cells(self.rows))
        reasons = [f"{row.model}: {row.reason}" for row in self.rows if row.reason]
        return "\n".join([self.title, "", table, *([""] if reasons else []), *reasons])

    def pairs_frame(self) -> DataFrame:
        """One row per pair of models, with the difference, its interval and its tests.

        Raises UsageError without pandas.
        """
        return frame(map(dataclasses.asdict, self.pairs), index=["a", "b"])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, model: str) -> Row:
        """The row of a model. Raises UnknownNameError."""
        for row in self.rows:
            if row.model == model:
                return row
        raise UnknownNameError("row", model, [row.model for row in self.rows])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Leaderboard of {len(self.rows)} models on {self.title}>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        columns, lines, _ = wide_cells(self.rows)
        table = html_table(columns, lines, caption=self.title)
        return table + notes


def _flatten(row: Row) -> dict[str, Any]:
    """A row as a flat dictionary, its scores included."""
    plain = row.to_dict()
    for part in ("test", "validation"):
        for name, value in (plain.pop(part) or {}).items():
            plain[f"{part}_{name}"] = value
    return plain


def leaderboard(store: Store) -> Leaderboard:
    """The table of the store's last comparison and of all added runs.

    Without a comparison it holds every saved run. A run that can't be read is a row that says so.

    Raises
    ------
    StoreError
        When any other file of the store can't be read.
    """
    return leaderboard_and_runs(store, store.saved())[0]


def leaderboard_and_runs(store: Store, saved: Saved) -> tuple[Leaderboard, dict[str, list[Run]]]:
    """The table, and the runs of each complete row by its label; raises as `leaderboard`.

    `saved` are the store's runs, read once for all that is computed from them.
    """
    comparison, problems = None, []
    try:
        comparison = Comparison.load(store)
    except StoreError as error:
        problems.append(f"{error} So the table holds every saved run.")
    groups = groups_of(comparison, saved, store.card)
    finished = _complete_runs(groups)
    tested = {label: [run.test for run in runs] for label, runs in finished.items()}
    parts = {label: [p for p in by_seed if p is not None] for label, by_seed in tested.items()}
    parts = {label: by_seed for label, by_seed in parts.items() if by_seed}
    looks = looks_of(comparison, groups)
    balanced = _counts_classes_alike(finished)
    ranking = rank_models(recipes_of(groups, parts, store.card.copies, balanced=balanced), looks)
    validated = validated_of(groups, finished, balanced=balanced)

    rows = [
        _row(entry, finished.get(entry.label), ranking, validated, balanced)
        for entry, _ in groups.values()
    ]
    order = {label: position for position, label in enumerate(ranking.order)}
    rows.sort(key=lambda row: order.get(row.model, len(order)))
    runs = [run for by_seed in finished.values() for run in by_seed]
    board = Leaderboard(
        dataset_name=store.card.name,
        dataset_title=store.card.title,
        dataset_sha256=store.card.sha256,
        class_names=store.card.class_names,
        n_test=store.card.test_images,
        test_reads=sum(run.record.spec.reads_test for run in saved.runs),
        rows=tuple(rows),
        pairs=_pairs(ranking),
        winner_ci95=_bounds(ranking.winner),
        notes=(
            *problems,
            *([_BALANCED] if balanced else []),
            *left_out(saved, groups),
            *_undone_pairs(ranking),
            *_rows_with_fewer_seeds(looks, parts),
            *(_unknown_looks(rows) if comparison is None else []),
            *notes_of(store.card, rows, finished, parts),
        ),
        command=comparison.command if comparison else None,
        confusions={
            label: mean_confusion(
                [
                    confusion_matrix(p.probabilities, p.labels, len(store.card.class_names))
                    for p in by_seed
                ]
            )
            for label, by_seed in parts.items()
        },
        environment={k: str(v) for k, v in (runs[0].record.environment if runs else {}).items()},
        folder=store.folder,
    )
    return board, finished


def _counts_classes_alike(finished: Mapping[str, Sequence[Run]]) -> bool:
    """Whether models are ranked by balanced accuracy: by the images that they are tested on."""
    runs = [run for by_seed in finished.values() for run in by_seed]
    parts = (run.test or run.validation for run in runs)
    return next((are_unbalanced(part.labels) for part in parts if part is not None), False)


def _complete_runs(groups: Groups) -> dict[str, list[Run]]:
    return {
        label: [run for run in runs if run is not None]
        for label, (entry, runs) in groups.items()
        if entry.status == "ok" and all(runs)
    }


def _row(
    entry: Entry,
    runs: Sequence[Run] | None,
    ranking: Ranking,
    validated: Mapping[str, AccuracyEstimate],
    balanced: bool,
) -> Row:
    if runs is None:
        status, reason = entry.status, entry.reason
        if status == "ok":  # a run was deleted since
            status, reason = "interrupted", "one of its runs is missing; compare again to fit it"
        return Row(
            model=entry.label,
            seeds=len(entry.seeds),
            deterministic=entry.deterministic,
            trained_on=entry.trained_on,
            status=status,
            reason=reason,
        )
    records = [run.record for run in runs]
    test = _scores([run.test for run in runs], ranking.accuracies.get(entry.label), balanced)
    return Row(
        model=entry.label,
        rank=ranking.ranks.get(entry.label),
        indistinguishable_from=ranking.indistinguishable_from.get(entry.label, ()),
        seeds=len(entry.seeds),
        deterministic=entry.deterministic,
        trained_on=records[0].trained_on,
        test=test,
        validation=_scores([run.validation for run in runs], validated.get(entry.label), balanced),
        fit_seconds=_mean([r.fit_seconds for r in records]),
        predict_us_per_image=_mean([r.predict_us_per_image for r in records]),
        parameters=records[0].parameters,
        engine=join_values([r.engine for r in records]),
        precision=join_values([r.precision for r in records]),
        reason=None if test else "the test split was not read",
    )


def _scores(
    parts: Sequence[Part | None], estimate: AccuracyEstimate | None, balanced: bool
) -> Scores | None:
    if estimate is None:
        return None
    saved = [(part.probabilities, part.labels) for part in parts if part is not None]
    means = {
        name: float(np.mean([metric.compute(*part) for part in saved]))
        for name, metric in METRICS.items()
    }
    accuracy = estimate.mean
    if balanced:
        accuracy = float(np.mean([part.correct.mean() for part in parts if part is not None]))
    return Scores(
        accuracy=accuracy,
        balanced_accuracy=estimate.mean if balanced else None,
        accuracy_sd=estimate.sd,
        ci95=_bounds(estimate.interval),
        this_fit_ci95=_bounds(estimate.fit_interval),
        metrics=means,
    )


def _pairs(ranking: Ranking) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            a=pair.a,
            b=pair.b,
            difference=pair.paired.difference,
            ci95=_bounds(pair.paired.interval),
            p=pair.paired.p,
            p_adjusted=pair.p_adjusted,
            p_these_fits=pair.paired.p_these_fits,
            only_a_right=pair.paired.only_a_right,
            only_b_right=pair.paired.only_b_right,
            method=pair.paired.method,
            standard_error=pair.paired.standard_error,
            degrees_of_freedom=pair.paired.degrees_of_freedom,
            single_seed=pair.paired.single_seed,
        )
        for pair in ranking.pairs
    )


def _undone_pairs(ranking: Ranking) -> list[str]:
    """Note the pairs that would be significant without the earlier looks."""
    undone = [f"{pair.a} and {pair.b}" for pair in ranking.pairs if pair.undone]
    if not undone:
        return []
    more = f" and {len(undone) - 3} other pairs" if len(undone) > 3 else ""
    return [
        f"Not significant after correcting for earlier tables with other numbers of seeds, each of "
        f"which used up some of the 5%: {', '.join(undone[:3])}{more}."
    ]


def _rows_with_fewer_seeds(
    looks: Sequence[Mapping[str, int]], parts: Mapping[str, Sequence[Part]]
) -> list[str]:
    """Note the rows that had more seeds in an earlier, more conclusive table."""
    most = {label: max((look.get(label, 0) for look in looks), default=0) for label in parts}
    fewer = [
        f"{label} ({len(by_seed)}, {most[label]} then)"
        for label, by_seed in parts.items()
        if len(by_seed) < most[label]
    ]
    if not fewer:
        return []
    return [f"An earlier table had more seeds and is more conclusive: {', '.join(fewer)}."]


def _unknown_looks(rows: Sequence[Row]) -> list[str]:
    """Note that earlier looks, perhaps while seeds were added one by one, are unknown."""
    if not any(row.test and row.seeds > 1 for row in rows):
        return []
    return ["There is no saved comparison, so earlier looks are unknown and not corrected for."]


def _bounds(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else interval.bounds


def _mean(values: Sequence[float | None]) -> float | None:
    available = [value for value in values if value is not None]
    return float(np.mean(available)) if available else None
