"""Check published claims, one after another, and keep the verdicts.

    python benchmarks/claims.py --out benchmarks/results/claims.json [CLAIM…]

prints the table of docs/verify.md. Without names it checks all claims of the package, which takes
a night; with names the others' rows stay as they are. The file is written after every claim, and
runs that are saved already are used as they are, so the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import record

from fittingroom.bench.claim_file import claim_names
from fittingroom.bench.verification import COLUMNS, Checked, cells
from fittingroom.bench.verify import verify
from fittingroom.cli.options import parse_duration
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.runs.run import environment


def row(checked: Checked) -> dict[str, Any]:
    """A verdict with the cells of its line in the table, and the processor that gave it."""
    return {
        **checked.to_dict(),
        "cells": cells(checked),
        "processor": environment()["processor"],
        "complete": not checked.failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time-limit", default="30m", help="for one fit, as that of verify")
    parser.add_argument("--on", default="local:1", help="where fits run, as that of verify")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    before = json.loads(options.out.read_text("utf8"))["claims"] if options.out.exists() else []
    rows = {claim["id"]: claim for claim in before}
    for name in options.claims or claim_names():
        with ProgressDisplay() as progress:
            verification = verify(
                [name],
                seeds=options.seeds,
                runs=options.runs,
                time_limit=parse_duration(options.time_limit),
                on=options.on,
                on_progress=progress,
            )
        rows[name] = row(verification.claims[0])
        rows = dict(sorted(rows.items()))
        kept = {"claims": list(rows.values())}
        record.write(options.out, kept, ["--seeds", str(options.seeds), "--out", str(options.out)])
    print("\n".join(table(rows.values())))


def table(claims: Iterable[dict[str, Any]]) -> list[str]:
    """The lines of the table, in Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(claim["cells"] for claim in claims)]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    main()
