"""What several commands show, and the files that they write."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fittingroom.bench.comparison.cells import COLUMNS, NUMBERS, cells
from fittingroom.cli.output import note, say
from fittingroom.errors import FittingroomError, ReportError
from fittingroom.formatting import duration
from fittingroom.json_text import json_text
from fittingroom.table import text_table

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.zalando.zalando import Benchmark
    from fittingroom.data.dataset import Dataset
    from fittingroom.runs.run import Run
    from fittingroom.runs.store import Store

#: What makes the text of each file.
Files = dict[Path, Callable[[], str]]


def show_plan(
    dataset: Dataset, plan: Mapping[str, tuple[int, float | None]], limit: float | None
) -> None:
    """Before anything is fitted: the data, the runs, the time it should take."""
    too_long = [
        n for n, (_, s) in plan.items() if limit is not None and s is not None and s > limit
    ]
    seconds = sum(r * (s or 0) for name, (r, s) in plan.items() if name not in too_long)
    runs = sum(r for name, (r, _) in plan.items() if name not in too_long)
    note(f"{dataset.name} from {dataset.source}")
    note(f"models: {len(plan)}; runs: {runs}; time: about {duration(seconds)}, less what is saved")
    if too_long:
        note(f"skipped, over --time-limit {duration(limit)}: {', '.join(too_long)}")


def show_comparison(
    store: Store, dataset: Dataset | None, *, formats: Collection[str], as_json: bool
) -> Leaderboard:
    """Print the comparison's table, then write its files and say where they are.

    Raises
    ------
    StoreError : the runs can't be read
    ReportError, StoreError : a file can't be made or written; the table was printed before, and
        every other file is there
    """
    from fittingroom.reporting.words import summary

    board, files = _comparison(store, dataset, formats)
    if as_json:
        say(board.to_json().rstrip())
    else:
        say(leaderboard_text(board))
        say("")
        say(summary(board))
        for text in board.notes:
            say(f"Note: {text}")
    write_files(files)
    return board


def _comparison(
    store: Store, dataset: Dataset | None, formats: Collection[str]
) -> tuple[Leaderboard, Files]:
    """The leaderboard of a store's comparison, and the files that are to be made of it."""
    from fittingroom.bench.comparison.leaderboard import leaderboard_and_runs

    saved = store.saved()
    board, finished = leaderboard_and_runs(store, saved)

    @cache
    def analysed() -> Analysis:
        from fittingroom.bench.comparison.analysis import analyse_table

        return analyse_table(board, finished, saved.runs, dataset, store.card.copies)

    def markdown() -> str:
        from fittingroom.reporting.tables import leaderboard_markdown

        return leaderboard_markdown(board)

    def page() -> str:
        from fittingroom.reporting.report import Report

        return Report(analysed(), dataset).html()

    texts: dict[str, Callable[[], str]] = {"leaderboard.json": board.to_json}
    if "json" in formats:
        texts["study.json"] = lambda: json_text(analysed().to_dict())
    if "md" in formats:
        texts["leaderboard.md"] = markdown
    if "csv" in formats:
        from fittingroom.reporting.tables import CSV_FILES

        for name, text_of in CSV_FILES.items():
            texts[name] = lambda text_of=text_of: text_of(analysed())  # type: ignore[misc]
    if "html" in formats:
        texts["report.html"] = page
    return board, {store.folder / name: text for name, text in texts.items()}


def show_side_by_side(
    runs: Path,
    compared: Sequence[tuple[Store, Dataset]],
    formats: Collection[str],
    *,
    as_json: bool,
) -> tuple[Leaderboard, ...]:
    """Print how the tables of several data sets differ, then write their comparisons' files."""
    from fittingroom.bench.comparison.side_by_side import side_by_side
    from fittingroom.reporting.side_by_side import (
        notes,
        order_sentence,
        render_side_by_side,
        side_by_side_csv,
        side_by_side_markdown,
    )

    boards, files = zip(*(_comparison(*each, formats) for each in compared), strict=True)
    sides = side_by_side(boards)
    if as_json:
        say(sides.to_json().rstrip())
    else:
        say(f"{text_table(sides.columns, sides.cells, sides.columns[1:])}\n")
        for sentence in map(order_sentence, sides.orders):
            say(sentence)
        for text in notes(sides):
            say(f"Note: {text}")
    texts: Files = {runs / "side-by-side.json": sides.to_json}
    if "md" in formats:
        texts[runs / "side-by-side.md"] = lambda: side_by_side_markdown(sides)
    if "csv" in formats:
        texts[runs / "side-by-side.csv"] = lambda: side_by_side_csv(sides)
    if "html" in formats:
        command = sides.boards[0].command
        texts[runs / "side-by-side.html"] = lambda: render_side_by_side(sides, command)
    write_files(texts | {path: text for of_board in files for path, text in of_board.items()})
    return sides.boards


def show_benchmark(
    store: Store,
    dataset: Dataset,
    benchmark: Benchmark,
    formats: Collection[str],
    *,
    as_json: bool,
) -> None:
    """Print what was chosen of the makers' benchmark, then write its files and leaderboard's."""
    from fittingroom.bench.zalando.zalando import COLUMNS as GRID_COLUMNS
    from fittingroom.bench.zalando.zalando import FILE
    from fittingroom.bench.zalando.zalando import NUMBERS as GRID_NUMBERS
    from fittingroom.reporting.zalando_page import (
        benchmark_markdown,
        headline,
        left_out,
        points_csv,
        render_benchmark,
    )

    board, files = _comparison(store, dataset, formats)
    if as_json:
        say(benchmark.to_json().rstrip())
    else:
        say(f"{text_table(GRID_COLUMNS, benchmark.cells, GRID_NUMBERS)}\n")
        say(f"Selected on validation images alone. On the test split: {headline(benchmark)}")
        for text in [*left_out(benchmark), *(f"Note: {text}" for text in board.notes)]:
            say(text)
    texts: Files = {store.folder / FILE: benchmark.to_json}
    if "md" in formats:
        texts[store.folder / "zalando.md"] = lambda: benchmark_markdown(benchmark)
    if "csv" in formats:
        texts[store.folder / "zalando.csv"] = lambda: points_csv(benchmark)
    if "html" in formats:
        texts[store.folder / "zalando.html"] = lambda: render_benchmark(benchmark)
    write_files(files | texts)


def write_files(files: Files) -> None:
    """Make and write files one after the other, and say where those are that could be.

    Raises
    ------
    FittingroomError : the first that stood in the way of one, after all others were tried
    """
    from fittingroom.files import replace_file

    written, problems = [], []
    for path, text in files.items():
        try:
            written.append(replace_file(path, text()))
        except FittingroomError as error:
            problems.append(error)
        except Exception as error:  # a fault of ours in one file must not take the others away
            problems.append(_fault(path, error))
    if written:
        note_files(written)
    if problems:
        raise problems[0]


def _fault(path: Path, error: Exception) -> ReportError:
    """What became of a file in one sentence, which says where in the code that was."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return ReportError(
        f"{short(path)} can't be made: {type(error).__name__} in {Path(where.filename).name}, line "
        f"{where.lineno} ({error}); this is a bug in Fittingroom; no other result is lost."
    )


def note_files(files: Iterable[Path]) -> None:
    """Say where files are."""
    note("\n" + "\n".join(str(short(file)) for file in files))


def leaderboard_text(board: Leaderboard) -> str:
    """The table of a terminal."""
    rows = [cells(row) for row in board.rows]
    return f"{board.title}\n\n{text_table(list(COLUMNS), rows, NUMBERS)}"


def summary_of_run(run: Run) -> str:
    """One run in a few lines."""
    record = run.record
    lines = [f"{record.label}, seed {record.spec.seed}, {record.trained_on:,} training images"]
    parts = {"validation": run.validation, "test": run.test, "out-of-fold": run.out_of_fold}
    for name, part in parts.items():
        if part is not None:
            lines.append(f"{name} accuracy {part.correct.mean():.4f} ({len(part.labels):,} images)")
    if record.kept_epoch is not None:
        lines.append(f"kept epoch {record.kept_epoch}")
    speed = f"fitted in {duration(record.fit_seconds)}"
    if record.predict_us_per_image is not None:
        speed += f", {record.predict_us_per_image:.0f} us per image to predict"
    engine = " ".join(filter(None, [record.engine, record.precision]))
    return "\n".join([*lines, f"{speed}; {engine}", str(short(run.folder))])


def short(path: Path) -> Path:
    """Relative to the working folder where it lies below it."""
    path = path.resolve()
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
