"""Write the tables of docs/speed.md from what the speed benchmarks found.

    python benchmarks/speed_page.py

Reads ``speed.json``, ``classical.json``, ``swift.json`` and ``ceiling.json`` in
``benchmarks/results``; each is measured in one sitting, and is one table. A table stands in the
page between two comments that bear its name.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

import record
from speed import range_of

from fittingroom.files import replace_file

PAGE = record.ROOT / "docs" / "speed.md"


def main() -> None:
    replace_file(PAGE, with_tables(PAGE.read_text(encoding="utf-8")))


def with_tables(page: str) -> str:
    """The page with all of its tables made anew."""
    networks, classical, swift, ceiling = (
        json.loads((record.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("speed", "classical", "swift", "ceiling")
    )
    for name, table in (
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
