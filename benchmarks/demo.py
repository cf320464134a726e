"""Keep what `make demo` gives, and how long that takes without the installation.

    python benchmarks/demo.py --out benchmarks/results/demo.json

Nothing is saved before: every model is fitted. With `--pictures docs`, a recording of that run in a
terminal, its page, and a photo of the page are kept there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import record
import recording
from pictures import photograph
from printed import reads_of

from fittingroom.files import replace_file

#: As in the Makefile.
COMMAND = ("compare", "--suite", "quick", "--seeds", "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="the folder of the README's pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        frames = list(recording.record(["fittingroom", *COMMAND], Path(folder)))
        (results,) = Path(folder).glob("runs/*/leaderboard.json")
        board = json.loads(results.read_text("utf8"))
        if options.pictures is not None:
            page = results.with_name("report.html")
            replace_file(options.pictures / "example.html", page.read_bytes())
            replace_file(options.pictures / "pictures" / "page.webp", photograph(page))
            replace_file(options.pictures / "pictures" / "demo.svg", recording.film(frames))
    figures = {"compared_by": COMMAND, "seconds": round(frames[-1].time, 1), "leaderboard": board}
    record.write(options.out, figures, test_reads=reads_of(board))


if __name__ == "__main__":
    main()
