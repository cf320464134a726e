"""Prints the lowest versions that pyproject.toml allows, as constraints for pip.

    python requirements/lowest.py > lowest.txt

`make test-lowest` installs them into an environment of their own, and runs the tests there.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
#: Extras whose packages work on this one; nobody needs them to use it.
OF_DEVELOPERS = ("dev", "docs")


def lowest() -> Iterator[str]:
    """`name==version` of every dependency."""
    project = tomllib.loads(PROJECT.read_text("utf8"))["project"]
    extras = project["optional-dependencies"].items()
    required = [each for name, of in extras if name not in OF_DEVELOPERS for each in of]
    for each in (*project["dependencies"], *required):
        requirement, semicolon, marker = each.partition(";")
        name, version = re.split(r"(?:\[.*\])?>=", requirement)
        yield f"{name}=={version.split(',')[0]}{semicolon}{marker}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lowest())
