"""The report of each kind of result: what is printed, and its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fittingroom.errors import UsageError
from fittingroom.formatting import duration, short_path
from fittingroom.json_text import json_text
from fittingroom.reporting.data_text import data_text
from fittingroom.reporting.report import Report
from fittingroom.table import text_table

#: Half the width of an interval of validation accuracy above which choosing by it is doubtful.
FEW = 0.02

if TYPE_CHECKING:
    from fittingroom.bench.claims.verification import ClaimsReport
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.comparison.side_by_side import SideBySide
    from fittingroom.bench.explore import Exploration
    from fittingroom.bench.tuning.tuning import Tuning
    from fittingroom.bench.zalando.zalando import Benchmark
    from fittingroom.data.dataset import Dataset
    from fittingroom.data.describe import DatasetDescription
    from fittingroom.runs.run import Part, Run
    from fittingroom.runs.store import Store
    from fittingroom.training.rate_range import RateRange


def report(result: Any = "runs") -> Report:
    """The report of a result, for a notebook or for files.

    Parameters
    ----------
    result : the folder of saved runs, or of one data set in it, whose comparison is shown, with
        images if the data set is found; or a `Leaderboard`, for the same of its runs; or an
        `Analysis`, a `SideBySide`, a `Tuning`, a `ClaimsReport`, the makers' `Benchmark` or a `Run`

    Raises
    ------
    StoreError : there are no runs, or a file of a run is damaged
    UsageError : `result` has no report
    """
    if isinstance(result, str | Path):
        from fittingroom.data.sources import find_again
        from fittingroom.runs.store import find_store

        store = find_store(result)
        card = store.card
        return comparison_report(store, find_again(card.name, card.location, card.sha256))[1]
    make = _REPORTS.get(type(result).__name__)
    if make is None:
        raise UsageError(
            f"{type(result).__name__} has no report; give the folder of saved runs or one of "
            f"{', '.join(_REPORTS)}."
        )
    return make(result)


def comparison_report(store: Store, dataset: Dataset | None) -> tuple[Leaderboard, Report]:
    """The leaderboard of a store's runs, and its report, which has images only with `dataset`.

    Raises StoreError if the runs can't be read.
    """
    from fittingroom.bench.comparison.leaderboard import leaderboard_and_runs

    saved = store.saved()
    board, finished = leaderboard_and_runs(store, saved)

    @cache
    def analysis() -> Analysis:
        from fittingroom.bench.comparison.analysis import analyse_table

        return analyse_table(board, finished, saved.runs, dataset, store.card.copies)

    return board, analysis_report(board, analysis, dataset)


def analysis_report(
    board: Leaderboard, analysis: Callable[[], Analysis], dataset: Dataset | None = None
) -> Report:
    """The report of a comparison; the analysis is computed only for files that need it."""

    def text(*, wide: bool) -> str:
        from fittingroom.reporting.words import summary

        notes = [f"Note: {note}" for note in board.notes]
        return "\n".join([board.text(wide=wide), "", summary(board), *notes])

    def markdown() -> str:
        from fittingroom.reporting.tables import leaderboard_markdown

        return leaderboard_markdown(board)

    def latex() -> str:
        from fittingroom.reporting.tables import leaderboard_latex

        return leaderboard_latex(board)

    def diagram() -> bytes:
        from fittingroom.reporting.critical_difference import as_pdf, critical_difference

        return as_pdf(critical_difference(board))

    def csv(name: str) -> str:
        from fittingroom.reporting.tables import CSV_FILES

        return CSV_FILES[name](analysis())

    def page() -> str:
        from fittingroom.reporting.comparison_page import render_comparison

        return render_comparison(analysis(), dataset)

    return Report(
        text=partial(text, wide=False),
        wide=partial(text, wide=True),
        json=board.to_json,
        compute=analysis,
        files={
            "leaderboard.json": board.to_json,
            "study.json": lambda: json_text(analysis().to_dict()),
            "leaderboard.md": markdown,
            "leaderboard.tex": latex,
            "critical-difference.pdf": diagram,
            "leaderboard.csv": lambda: csv("leaderboard.csv"),
            "pairs.csv": lambda: csv("pairs.csv"),
            "classes.csv": lambda: csv("classes.csv"),
            "confusions.csv": lambda: csv("confusions.csv"),
            "report.html": page,
        },
        always=("leaderboard.json",),
    )


def side_by_side_report(sides: SideBySide) -> Report:
    """The report of a comparison across data sets."""
    from fittingroom.reporting import side_by_side as pages

    def text() -> str:
        table = text_table(sides.columns, sides.cells, sides.columns[1:])
        notes = [f"Note: {note}" for note in pages.notes(sides)]
        return "\n".join([table, "", *map(pages.order_sentence, sides.orders), *notes])

    return Report(
        text=text,
        json=sides.to_json,
        compute=lambda: sides,
        files={
            "side-by-side.json": sides.to_json,
            "side-by-side.md": lambda: pages.side_by_side_markdown(sides),
            "side-by-side.tex": lambda: pages.side_by_side_latex(sides),
            "side-by-side.csv": lambda: pages.side_by_side_csv(sides),
            "side-by-side.html": lambda: pages.render_side_by_side(sides, sides.boards[0].command),
        },
        always=("side-by-side.json",),
    )


def benchmark_report(benchmark: Benchmark) -> Report:
    """The report of the makers' benchmark."""
    from fittingroom.bench.zalando import zalando
    from fittingroom.reporting import zalando_page

    def text() -> str:
        notes = [] if benchmark.board is None else benchmark.board.notes
        return "\n".join(
            [
                f"{text_table(benchmark.columns, benchmark.cells, benchmark.numbers)}\n",
                "Selected on validation images alone. On the test split: "
                f"{zalando_page.headline(benchmark)}",
                *zalando_page.left_out(benchmark),
                *(f"Note: {note}" for note in notes),
            ]
        )

    return Report(
        text=text,
        json=benchmark.to_json,
        compute=lambda: benchmark,
        files={
            zalando.FILE: benchmark.to_json,
            "zalando.md": lambda: zalando_page.benchmark_markdown(benchmark),
            "zalando.tex": lambda: zalando_page.benchmark_latex(benchmark),
            "zalando.csv": lambda: zalando_page.points_csv(benchmark),
            "zalando.html": lambda: zalando_page.render_benchmark(benchmark),
        },
        always=(zalando.FILE,),
    )


def claims_report(claims: ClaimsReport) -> Report:
    """The report of checked claims."""
    from fittingroom.reporting import claims_page

    return Report(
        text=lambda: claims_page.claims_text(claims),
        json=claims.to_json,
        compute=lambda: claims,
        files={
            "claims.json": claims.to_json,
            "claims.md": lambda: claims_page.claims_markdown(claims),
            "claims.tex": lambda: claims_page.claims_latex(claims),
            "claims.csv": lambda: claims_page.claims_csv(claims),
            "claims.html": lambda: claims_page.render_claims(claims),
        },
        always=("claims.json",),
    )


def tuning_report(tuning: Tuning, command: str | None = None) -> Report:
    """The report of a search; `command` resumes it."""
    from fittingroom.reporting import tune_page

    study = tuning.study
    files: dict[str, Callable[[], str]] = {f"{study}.json": tuning.to_json}
    if tuning.best is not None:
        files[tuning.recipe_name] = tuning.recipe_json
    return Report(
        text=lambda: tune_page.tuning_text(tuning),
        json=tuning.to_json,
        compute=lambda: tuning,
        files={
            **files,
            f"{study}.md": lambda: tune_page.tuning_markdown(tuning),
            f"{study}.tex": lambda: tune_page.tuning_latex(tuning),
            f"{study}.csv": lambda: tune_page.trials_csv(tuning),
            f"{study}.html": lambda: tune_page.render_tuning(tuning, command),
        },
        always=tuple(files),
    )


def rate_range_report(model: str, rates: RateRange, title: str, command: str) -> Report:
    """The report of a learning rate range test; `title` is the data set's."""
    from fittingroom.reporting import tune_page, tune_words

    facts = {"schema_version": 1, "model": model, **rates.to_dict()}
    page = f"{model}.lr-range.html"
    return Report(
        text=lambda: f"{tune_words.suggestion(model, rates)} {tune_words.reason(rates)}",
        json=lambda: json_text(facts),
        compute=lambda: rates,
        files={page: lambda: tune_page.render_rate_range(model, rates, title, command)},
        always=(page,),
    )


def description_report(description: DatasetDescription) -> Report:
    """The report of a data set, without a page."""
    return Report(
        text=lambda: data_text(description),
        json=lambda: json_text(description.to_dict()),
        compute=lambda: description,
    )


def data_report(explored: Exploration, dataset: Dataset, page: str, command: str) -> Report:
    """The report of a data set, with a page of the file name `page`."""
    from fittingroom.reporting.data_page import render_data

    return Report(
        text=lambda: data_text(explored.description),
        json=lambda: json_text(explored.to_dict()),
        compute=lambda: explored,
        files={page: lambda: render_data(explored, dataset, command)},
        always=(page,),
    )


def runs_report(runs: Sequence[Run], *, details: bool = False) -> Report:
    """The report of several saved runs: a table, or with `details` each run's own text."""
    from fittingroom.reporting import runs_text

    return Report(
        text=lambda: "\n\n".join(map(_run_text, runs)) if details else runs_text.runs_table(runs),
        json=lambda: json_text({"schema_version": 1, "runs": [*map(runs_text.run_facts, runs)]}),
        compute=lambda: runs,
    )


def run_report(run: Run) -> Report:
    """The report of one run; it writes no files."""
    return Report(text=lambda: _run_text(run), json=run.record.to_json, compute=lambda: run)


def _run_text(run: Run) -> str:
    record = run.record
    trained_on = f"{record.trained_on:,} training images"
    lines = [f"{record.label}, seed {record.spec.seed}, {trained_on}"]
    parts = {"validation": run.validation, "test": run.test, "out-of-fold": run.out_of_fold}
    for name, part in parts.items():
        if part is not None:
            lines.append(f"{name} accuracy {_accuracy_of_fit(part)}")
    if record.kept_epoch is not None:
        lines.append(f"kept epoch {record.kept_epoch}")
    speed = f"fitted in {duration(record.fit_seconds)}"
    if record.predict_us_per_image is not None:
        speed += f", {record.predict_us_per_image:.0f} us per image to predict"
    engine = " ".join(filter(None, [record.engine, record.precision]))
    return "\n".join([*lines, *_few_images(run), f"{speed}; {engine}", str(short_path(run.folder))])


def _accuracy_of_fit(part: Part) -> str:
    """`0.8536, 95% interval of this fit 0.8465-0.8604 (10,000 images)`.

    Of unbalanced classes the balanced accuracy too, by which a comparison ranks.
    """
    from fittingroom.bench.comparison.recipes import are_unbalanced
    from fittingroom.evaluation.intervals import wilson
    from fittingroom.evaluation.metrics import balanced_accuracy

    n = len(part.labels)
    low, high = wilson(int(part.correct.sum()), n).bounds
    text = (
        f"{part.correct.mean():.4f}, 95% interval of this fit {low:.4f}-{high:.4f} ({n:,} images)"
    )
    if are_unbalanced(part.labels):
        text += f"; balanced accuracy {balanced_accuracy(part.probabilities, part.labels):.4f}"
    return text


def _few_images(run: Run) -> list[str]:
    """A note where too few validation images choose an epoch or settings."""
    from fittingroom.evaluation.intervals import wilson

    part = run.validation
    if part is None:
        return []
    chosen = part if part.selection is None else part[part.selection]
    n = len(chosen.labels)
    low, high = wilson(int(chosen.correct.sum()), n).bounds
    if high - low <= 2 * FEW:
        return []
    return [
        f"Note: what is chosen by validation accuracy is chosen on {n:,} images, where it is "
        f"uncertain by {50 * (high - low):.1f} points."
    ]


#: By class name, so that the report of one kind doesn't import the other kinds.
_REPORTS: dict[str, Callable[[Any], Report]] = {
    "Leaderboard": lambda board: report(board.folder),
    "Analysis": lambda analysis: analysis_report(analysis.board, lambda: analysis),
    "SideBySide": side_by_side_report,
    "Tuning": tuning_report,
    "ClaimsReport": claims_report,
    "Benchmark": benchmark_report,
    "Run": run_report,
}
