"""What every reader of files from elsewhere says of every bad file, in what time and memory.

    python benchmarks/bad_files.py

The readers and the files are those of tests/test_strangers_files.py. Writes
results/bad-files.json: the sentence, the seconds and the bytes of memory taken at most.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import record

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
if TYPE_CHECKING:
    from tests import test_strangers_files as matrix
else:
    import test_strangers_files as matrix
from fittingroom.data.sources import load_dataset  # noqa: E402
from fittingroom.errors import FittingroomError  # noqa: E402

SMALL = ROOT / "tests" / "data" / "fashion-mnist-small"


def given(reader: str, bad: str, whole: Path, folder: Path) -> dict[str, Any]:
    """What a reader makes of one bad file."""
    shutil.copytree(whole, folder)
    matrix.BAD[bad](matrix.READERS[reader].file(folder))
    with matrix.measured() as so_far:
        try:
            said = str(matrix.READERS[reader].read(folder) or "")
        except FittingroomError as error:
            said = str(error)
        seconds, peak = so_far()
    said = said.strip().replace(f"{folder}/", "")
    shutil.rmtree(folder)
    return {"says": said, "seconds": round(seconds, 3), "bytes": max(0, int(peak))}


def main() -> None:
    with TemporaryDirectory(prefix="bad-files-") as name:
        whole = Path(name) / "whole"
        whole.mkdir()
        matrix.fill(whole, load_dataset(SMALL))
        found = {
            reader: {
                bad: given(reader, bad, whole, Path(name) / "given")
                for bad in matrix.BAD
                if (reader, bad) not in matrix.ALLOWED
            }
            for reader in matrix.READERS
        }
    cases = [case for of_reader in found.values() for case in of_reader.values()]
    record.write(
        ROOT / "benchmarks" / "results" / "bad-files.json",
        {
            "cases": len(cases),
            "most_seconds": max(case["seconds"] for case in cases),
            "most_bytes": max(case["bytes"] for case in cases),
            "readers": found,
        },
    )


if __name__ == "__main__":
    main()
