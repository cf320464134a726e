"""Put how often the tests and verdicts are wrong into the tables of docs/figures.md.

    python benchmarks/error_rates.py

Reads ``honesty.json``, ``honesty-unbalanced.json`` (of ``honesty.py --only unbalanced``) and
``honest-claims.json`` in ``benchmarks/results``; a table stands in the
page between two comments that bear its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import record
from speed_page import columns, put

from fittingroom.files import replace_file

PAGE = record.ROOT / "docs" / "figures.md"
Row = Mapping[str, Any]


def of(group: str, *spreads: object, **fields: Any) -> Callable[[Row], bool]:
    """Whether a scenario is of that group, of one of these spreads where any are given, and so."""

    def holds(row: Row) -> bool:
        scenario = row["scenario"]
        return (
            scenario["group"] == group
            and (not spreads or scenario["spread"] in spreads)
            and not scenario["gap"]
            and all(scenario[name] == value for name, value in fields.items())
        )

    return holds


EQUAL = (0.0, 0.1, 0.3, 1.0, "same")
#: The kinds of tables, in the words of the page.
KINDS: dict[str, Callable[[Row], bool]] = {
    **{
        f"{models} recipes of one spread, 2 to 10 seeds": of(group, *EQUAL, measured=0)
        for models, group in ((2, "pairs"), (7, "sevens"), (20, "twenties"))
    },
    **{
        f"{models} recipes of spreads from 0.05 to 2.6": of(group, "unequal", measured=0)
        for models, group in ((2, "pairs"), (7, "sevens"), (20, "twenties"))
    },
    **{
        f"{models} recipes, one of spread 2.6, the others of 0.05": of(group, "one wild")
        for models, group in ((2, "pairs"), (7, "sevens"), (20, "twenties"))
    },
    **{
        f"{models} recipes, one fit of each, spreads measured by ten others": of(group, measured=10)
        for models, group in ((2, "pairs"), (7, "sevens"), (20, "twenties"))
    },
    "deterministic models against seeds, unequal numbers of seeds": of("mixtures"),
    "100 to 10,000 images, accuracies from 0.5 to 0.997": of("images"),
    "near-copies of each test image, four of each, counted as one": of("near-copies"),
    "balanced accuracy; the largest class has 3 to 100 times as many images": of(
        "unbalanced", opposite=False
    ),
    "the same, of recipes that are right about other classes": of("unbalanced", opposite=True),
    "7 recipes of which some fits collapse, 2 seeds": of("collapses", seeds=[2]),
    "the same, 3 to 10 seeds, or one and a measured spread": lambda row: (
        of("collapses")(row) and row["scenario"]["seeds"] != [2]
    ),
    "any of several looks, up to 10 seeds": lambda row: (
        of("looks")(row) and max(row["scenario"]["looks"]) == 10
    ),
    "any of five looks, up to 20 seeds": lambda row: (
        of("looks")(row) and max(row["scenario"]["looks"]) == 20
    ),
}
TESTS = ("called", "called_usual", "called_pooled")


def errors_table(rows: Iterable[Row]) -> list[str]:
    """The largest share of wrong tables of each kind, by each test."""
    rows = list(rows)
    lines = [columns(["tables of equal recipes", "ours", "usual", "pooled"]), columns(["---"] * 4)]
    for kind, holds in KINDS.items():
        these = [row for row in rows if holds(row)]
        most = [max(row[test] for row in these) for test in TESTS]
        lines.append(columns([kind, *(f"{share:.1%}" for share in most)]))
    return lines


def power_table(rows: Iterable[Row]) -> list[str]:
    """How many of the pairs that differ are called different."""
    lines = [columns(["recipes and fits", "ours", "usual", "pooled"]), columns(["---"] * 4)]
    for row in rows:
        scenario = row["scenario"]
        if scenario["gap"]:
            (seeds,) = scenario["seeds"]
            fits = "one fit" if seeds == 1 else f"{seeds} fits"
            known = f", spreads measured by {scenario['measured']} others"
            kind = f"{scenario['models']}, {fits} of each{known if scenario['measured'] else ''}"
            kind += ", balanced accuracy" * (scenario.get("ratio", 1) > 1)
            lines.append(columns([kind, *(f"{row[test]:.0%}" for test in TESTS)]))
    return lines


def claims_table(simulated: Iterable[Row], real: Iterable[Row]) -> list[str]:
    """The largest share of honest claims of each kind that are accused, now and before."""
    kinds: dict[str, list[Row]] = {}
    for row in simulated:
        where = f", {row['measured']} images" if "measured" in row else ""
        kinds.setdefault(f"{row['kind']}{where}", []).append(row)
    lines = [columns(["honest claims", "accused, at most", "before"]), columns(["---"] * 3)]
    for kind, rows in kinds.items():
        most = [max(row[when]["accused"] for row in rows) for when in ("now", "before")]
        lines.append(columns([kind, *(f"{share:.1%}" for share in most)]))
    for row in real:
        shares = (row["all at once"]["accused"], row["before"]["accused"])
        kind = f"20 real sources with splits of their own, `{row['model']}`"
        lines.append(columns([kind, *(f"{share:.0%}" for share in shares)]))
    return lines


def with_tables(page: str) -> str:
    """The page with all of its tables made anew."""
    honesty, unbalanced, claims = (
        json.loads((record.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("honesty", "honesty-unbalanced", "honest-claims")
    )
    scenarios = [*honesty["scenarios"], *unbalanced["scenarios"]]
    for name, table in (
        ("errors", errors_table(scenarios)),
        ("power", power_table(scenarios)),
        ("honest claims", claims_table(claims["simulated"], claims["real"])),
    ):
        page = put(page, name, table)
    return page


def main() -> None:
    replace_file(PAGE, with_tables(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
