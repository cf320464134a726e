"""What the commands print: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fittingroom.bench.cells import COLUMNS, NUMBERS, cells, duration

if TYPE_CHECKING:
    from fittingroom.bench.leaderboard import Leaderboard
    from fittingroom.bench.zalando import Benchmark
    from fittingroom.data.dataset import Dataset
    from fittingroom.runs.run import Run
    from fittingroom.runs.store import Store


def say(text: str) -> None:
    """Data, on stdout."""
    print(text)  # noqa: T201


def note(text: str) -> None:
    """A message, on stderr."""
    print(text, file=sys.stderr)  # noqa: T201


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> str:
    """Columns as wide as their longest cell; nothing is cut or wrapped."""
    lines = [tuple(columns), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


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
    note(f"models {len(plan)}, runs {runs}, about {duration(seconds)} where none is saved yet")
    if too_long:
        note(f"left out for --time-limit {duration(limit)}: {', '.join(too_long)}")


def show_comparison(
    store: Store, dataset: Dataset | None, *, formats: Collection[str], as_json: bool
) -> Leaderboard:
    """Write the comparison's files, print its table, say where they are."""
    from fittingroom.reporting.words import summary

    board, files = write_comparison(store, dataset, formats)
    if as_json:
        say(board.to_json().rstrip())
    else:
        say(leaderboard_text(board))
        say("")
        say(summary(board))
        for text in board.notes:
            say(f"Note: {text}")
    note_files(files)
    return board


def write_comparison(
    store: Store, dataset: Dataset | None, formats: Collection[str]
) -> tuple[Leaderboard, list[Path]]:
    """Write the files of a store's comparison; the leaderboard, and where they are."""
    from fittingroom.bench.study import study
    from fittingroom.reporting.tables import csv_files, leaderboard_markdown

    found = study(store, dataset)
    board = found.board
    texts = {"leaderboard.json": board.to_json()}
    if "json" in formats:
        texts["study.json"] = json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n"
    if "md" in formats:
        texts["leaderboard.md"] = leaderboard_markdown(board)
    if "csv" in formats:
        texts |= csv_files(found)
    if "html" in formats:
        from fittingroom.reporting.report import Report

        texts["report.html"] = Report(found, dataset).html()
    return board, [store.write_text(name, text) for name, text in texts.items()]


def show_side_by_side(
    runs: Path,
    compared: Sequence[tuple[Store, Dataset]],
    formats: Collection[str],
    *,
    as_json: bool,
) -> None:
    """Write the files of several data sets' comparisons, and how their tables differ."""
    from fittingroom.bench.side_by_side import side_by_side
    from fittingroom.reporting.side_by_side import (
        notes,
        order_sentence,
        render_side_by_side,
        side_by_side_csv,
        side_by_side_markdown,
    )
    from fittingroom.runs.store import write_text

    written = [write_comparison(store, dataset, formats) for store, dataset in compared]
    found = side_by_side([board for board, _ in written])
    texts = {"side-by-side.json": found.to_json()}
    if "md" in formats:
        texts["side-by-side.md"] = side_by_side_markdown(found)
    if "csv" in formats:
        texts["side-by-side.csv"] = side_by_side_csv(found)
    if "html" in formats:
        texts["side-by-side.html"] = render_side_by_side(found, found.boards[0].command)
    files = [write_text(runs / name, text) for name, text in texts.items()]
    if as_json:
        say(found.to_json().rstrip())
    else:
        say(f"{table(found.columns, found.cells, found.columns[1:])}\n")
        for sentence in map(order_sentence, found.orders):
            say(sentence)
        for text in notes(found):
            say(f"Note: {text}")
    note_files([file for _, of_board in written for file in of_board] + files)


def show_benchmark(
    store: Store,
    dataset: Dataset,
    found: Benchmark,
    formats: Collection[str],
    *,
    as_json: bool,
) -> None:
    """Write the files of the makers' benchmark and of its leaderboard, print what was chosen."""
    from fittingroom.bench.zalando import COLUMNS as GRID_COLUMNS
    from fittingroom.bench.zalando import FILE
    from fittingroom.bench.zalando import NUMBERS as GRID_NUMBERS
    from fittingroom.reporting.zalando_page import (
        benchmark_markdown,
        headline,
        left_out,
        points_csv,
        render_benchmark,
    )

    board, files = write_comparison(store, dataset, formats)
    texts = {}
    if "md" in formats:
        texts["zalando.md"] = benchmark_markdown(found)
    if "csv" in formats:
        texts["zalando.csv"] = points_csv(found)
    if "html" in formats:
        texts["zalando.html"] = render_benchmark(found)
    files += [store.folder / FILE, *(store.write_text(n, text) for n, text in texts.items())]
    if as_json:
        say(found.to_json().rstrip())
    else:
        say(f"{table(GRID_COLUMNS, found.cells, GRID_NUMBERS)}\n")
        say(f"Chosen on validation images alone; of what was chosen: {headline(found)}")
        for text in [*left_out(found), *(f"Note: {text}" for text in board.notes)]:
            say(text)
    note_files(files)


def note_files(files: Iterable[Path]) -> None:
    """Say where files are."""
    note("\n" + "\n".join(str(short(file)) for file in files))


def leaderboard_text(board: Leaderboard) -> str:
    """The table of a terminal."""
    rows = [cells(row) for row in board.rows]
    return f"{board.title}\n\n{table(list(COLUMNS), rows, NUMBERS)}"


def summary_of_run(run: Run) -> str:
    """One run in a few lines."""
    record = run.record
    lines = [f"{record.label}, seed {record.asked.seed}, {record.trained_on:,} training images"]
    parts = {"validation": run.validation, "test": run.test, "out-of-fold": run.out_of_fold}
    for name, part in parts.items():
        if part is not None:
            lines.append(f"{name} accuracy {part.correct.mean():.4f} ({len(part.labels):,} images)")
    if record.kept_epoch is not None:
        lines.append(f"kept epoch {record.kept_epoch}")
    speed = f"fitted in {duration(record.fit_seconds)}"
    if record.predict_us_per_image is not None:
        speed += f", {record.predict_us_per_image:.0f} us an image to predict"
    engine = " ".join(filter(None, [record.engine, record.precision]))
    return "\n".join([*lines, f"{speed}; {engine}", str(short(run.folder))])


def short(path: Path) -> Path:
    """Relative to the working folder where it lies below it."""
    path = path.resolve()
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
