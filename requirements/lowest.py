"""Prints the lowest versions that pyproject.toml allows, as constraints for pip.

    python requirements/lowest.py > floors.txt

`make test-lowest` installs them and runs the tests. The standard library suffices, so that it runs
before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
#: A name, perhaps its extras, the lowest version, perhaps the first too high, perhaps a marker.
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)(?:,<[\w.]+)?(;.+)?")


def floors(requirements: Iterable[str]) -> Iterator[str]:
    """A constraint for each requirement, which must name the lowest version that it allows."""
    for requirement in requirements:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise SystemExit(f"{requirement!r} names no lowest version")
        yield f"{match[1]}=={match[2]}{match[3] or ''}"


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text("utf8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    sys.stdout.writelines(f"{floor}\n" for floor in floors(requirements))
