"""Write the tables of docs/speed.md from what the speed benchmarks found.

    python benchmarks/speed_page.py

Reads ``whole.json``, ``speed.json``, ``classical.json``, ``swift.json``, ``ceiling.json``,
``memory.json`` and ``growth.json`` in ``benchmarks/results``; each is measured in one sitting. A
table stands in the page between two comments that bear its name.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

import record
from speed import range_of

from fittingroom.files import replace_file
from fittingroom.formatting import duration

PAGE = record.ROOT / "docs" / "speed.md"


def main() -> None:
    replace_file(PAGE, with_tables(PAGE.read_text(encoding="utf-8")))


def with_tables(page: str) -> str:
    """The page with all of its tables made anew."""
    networks, classical, swift, ceiling, whole, memory, growth = (
        json.loads((record.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("speed", "classical", "swift", "ceiling", "whole", "memory", "growth")
    )
    for name, table in (
        ("whole fits", whole_fits_table(whole["rows"])),
        ("whole commands", whole_commands_table(whole["rows"])),
        ("memory", memory_table(memory["rows"])),
        ("growth", growth_table(growth["rows"])),
        ("networks", networks_table(networks["keras_speedup"])),
        ("scikit-learn", ratio_table(classical["sklearn_speedup"])),
        ("swift", swift_table(swift["swift"])),
        ("utilisation", utilisation_table(ceiling["utilisation"])),
    ):
        page = put(page, name, table)
    return page


def put(page: str, name: str, table: list[str]) -> str:
    """The page with a table between the comments of that name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return before + begin + "\n".join(table) + "\n" + end + after


def whole_fits_table(rows: dict[str, Any]) -> list[str]:
    """Networks that Keras trained too: the seconds of a person, and of another."""
    rows = {name: row for name, row in rows.items() if "as_published" in row}
    lines = [
        columns(
            [
                *("`fittingroom fit`", "epochs", "time"),
                *("Keras as published", "Keras at its best", "test accuracy"),
            ]
        ),
        columns(["---"] * 6),
    ]
    for name, row in rows.items():
        lines.append(
            columns(
                [
                    f"`{name}`",
                    epochs_of(row["each_turn"][0]["ours"]),
                    times_of(row["seconds"]["ours"]),
                    *(range_of(row[kind]) for kind in ("as_published", "at_its_best")),
                    f"{row['test_accuracy']['ours']:.4f}",
                ]
            )
        )
    means = [
        f"**{statistics.geometric_mean(row[kind]['median'] for row in rows.values()):.2f}**"
        for kind in ("as_published", "at_its_best")
    ]
    return [*lines, columns(["geometric mean", "", "", *means, ""])]


def epochs_of(ours: dict[str, Any]) -> str:
    """The epochs of a fit, and of how many in its recipe."""
    return f"{ours['epochs']} of {ours['recipe_epochs']}"


#: How the commands that stand in the table are typed, by their rows.
COMMANDS = {
    "knn": "fit knn",
    "logistic": "fit logistic",
    "predict-knn": "predict knn photo.jpg",
    "predict-swift-90": "predict swift-90 photo.jpg",
    "report": "report",
    "models": "models",
    "help": "--help",
    "version": "--version",
    "compare": "compare --suite quick --seeds 1",
}


def whole_commands_table(rows: dict[str, Any]) -> list[str]:
    """The other commands, and what of their time isn't their work."""
    lines = ["| command | time | of it |", "|---|---|---|"]
    for name, typed in COMMANDS.items():
        if name not in rows:
            continue
        row, command = rows[name], f"`fittingroom {typed}`"
        if name == "compare":
            compiling = f"compiling: {times_of(row['compiling_seconds'])}"
            new, warm = (times_of(row["seconds"][state]) for state in ("new", "warm"))
            lines += [columns([f"{command}, newly installed", new, compiling])]
            lines += [columns([command, warm, ""])]
        else:
            other = row.get("other_seconds")
            rest = f"neither the fit nor the predictions: {times_of(other)}" if other else ""
            lines += [columns([command, times_of(row["seconds"]["ours"]), rest])]
    return lines


def times_of(seconds: dict[str, float]) -> str:
    """A `speed.spread` of seconds as text."""
    median, least, most = (duration(seconds[name]) for name in ("median", "min", "max"))
    if seconds["turns"] == 1:
        return f"{median}, one turn"
    return median if least == most else f"{median} ({least} to {most})"


def memory_table(rows: dict[str, Any]) -> list[str]:
    """Peak memory by model, the largest first, beside stock scikit-learn's."""
    lines = ["| model | peak memory | stock scikit-learn | epochs |", "|---|---|---|---|"]
    order = sorted(rows, key=lambda name: -rows[name]["peak_memory_bytes"])
    for name in order:
        row = rows[name]
        stock = row.get("scikit_learn")
        lines.append(
            columns(
                [
                    f"`{name}`",
                    gigabytes(row["peak_memory_bytes"]),
                    gigabytes(stock["peak_memory_bytes"]) if stock else "",
                    "one" if row["epochs"] else "all" if stock is None else "",
                ]
            )
        )
    return lines


def growth_table(rows: dict[str, Any]) -> list[str]:
    """Time and memory by the number of images, and their exponents."""
    sizes = sorted({int(n) for row in rows.values() for n in row["sizes"]})
    lines = [
        columns(["model", *(f"{n:,} images" for n in sizes), "time ∝", "memory ∝"]),
        columns(["---"] * (len(sizes) + 3)),
    ]
    for name, row in rows.items():
        powers = [
            f"n^{row[f'{what}_exponent_of_the_two_largest']:.2f}" if len(row) > 1 else ""
            for what in ("time", "memory")
        ]
        cells = [size_of(row["sizes"].get(str(n))) for n in sizes]
        lines.append(columns([f"`{name}`", *cells, *powers]))
    return lines


def size_of(found: dict[str, Any] | None) -> str:
    """What a fit took at one size, or how it ended."""
    if found is None:
        return ""
    if found["status"] == "ok":
        return f"{duration(found['seconds'])}, {gigabytes(found['peak_memory_bytes'])}"
    return {"timeout": "stopped: too long", "out-of-memory": "stopped: too much memory"}.get(
        found["status"], str(found["status"])
    )


def gigabytes(n: int) -> str:
    return f"{n / 1e9:.2f} GB"


def networks_table(rows: dict[str, Any]) -> list[str]:
    peers = "Keras as published", "Keras at its best", "PyTorch float32", "PyTorch bfloat16"
    ratios = {
        model: [
            *(row[kind] for kind in ("as_published", "at_its_best")),
            *(row["pytorch"][kind] for kind in ("float32", "bfloat16")),
        ]
        for model, row in rows.items()
    }
    means = [
        statistics.geometric_mean(row["median"] for row in column)
        for column in zip(*ratios.values(), strict=True)
    ]
    return [
        *(columns(["network", *peers]), columns(["---"] * 5)),
        *(columns([f"`{model}`", *map(range_of, row)]) for model, row in ratios.items()),
        columns(["geometric mean", *(f"**{mean:.2f}**" for mean in means)]),
    ]


def columns(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def ratio_table(rows: dict[str, Any]) -> list[str]:
    lines = ["| model | times as fast |", "|---|---|"]
    lines += [f"| `{model}` | {range_of(row)} |" for model, row in rows.items()]
    mean = statistics.geometric_mean(row["median"] for row in rows.values())
    return [*lines, f"| geometric mean | **{mean:.2f}** |"]


def swift_table(rows: dict[str, Any]) -> list[str]:
    lines = ["| preset | test accuracy | seeds | time in K |", "|---|---|---|---|"]
    return lines + [
        f"| `{preset}` | {row['accuracy_mean']:.4f}"
        + (f" ± {row['accuracy_sd']:.4f}" if row["accuracy_sd"] is not None else "")
        + f" | {row['seeds']} | {row['multiple_of_k']:.2f} ({row['least_multiple']:.2f} to "
        f"{row['largest_multiple']:.2f}) |"
        for preset, row in rows.items()
    ]


def utilisation_table(rows: dict[str, Any]) -> list[str]:
    lines = ["| preset | of the ceiling |", "|---|---|"]
    return lines + [
        f"| `{preset}` | {100 * row['utilisation']:.0f}% |" for preset, row in rows.items()
    ]


if __name__ == "__main__":
    main()
