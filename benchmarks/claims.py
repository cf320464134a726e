"""Check the published claims that come with the package, and keep the verdicts.

    python benchmarks/claims.py --out benchmarks/results/claims.json

prints the table of docs/verify.md. It takes a night, and is written when all are done, since they
are judged at once; runs that are saved already are used as they are, so the same command goes on
where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import record

from fittingroom.bench.claims.claim_file import claim_names
from fittingroom.bench.claims.verification import COLUMNS, cells
from fittingroom.bench.claims.verify import verify
from fittingroom.cli.options import parse_duration
from fittingroom.cli.progress import ProgressDisplay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time-limit", default="30m", help="for one fit, as that of verify")
    parser.add_argument("--on", default="local:1", help="where fits run, as that of verify")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with ProgressDisplay() as progress:
        verification = verify(
            claim_names(),
            n_seeds=options.seeds,
            runs=options.runs,
            time_limit=parse_duration(options.time_limit),
            on=options.on,
            on_progress=progress,
        )
    claims = [
        {**checked.to_dict(), "cells": cells(checked), "complete": not checked.failed}
        for checked in verification.claims
    ]
    found = {**verification.to_dict(), "claims": claims}
    record.write(options.out, found, test_reads=verification.test_reads)
    print("\n".join(table(claims)))


def table(claims: Iterable[dict[str, Any]]) -> list[str]:
    """The lines of the table, in Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(claim["cells"] for claim in claims)]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    main()
