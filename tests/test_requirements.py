"""requirements/: the pins of constraints.txt, with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
#: Its builds for processors and for each CUDA have hashes of their own.
LEFT_OUT = {"torch"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(file: str) -> dict[str, str]:
    """Versions by name."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text("utf8"), re.MULTILINE)
    return {canonical(name): version for name, version in lines}


def test_every_pin_has_hashes() -> None:
    files = ("run.txt", "dev.txt", "docs.txt")
    hashed = {n: v for file in files for n, v in pinned(f"requirements/{file}").items()}
    constraints = pinned("constraints.txt")
    assert hashed == {n: v for n, v in constraints.items() if n not in LEFT_OUT}
    for file in files:
        text = (ROOT / "requirements" / file).read_text("utf8").replace("\\\n", "")
        assert all("--hash=sha256:" in line for line in text.splitlines())


def test_what_some_systems_lack_is_not_asked_of_them() -> None:
    """A package that is installed on some systems alone has their marker."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    asked = {"run.txt": project["dependencies"], "dev.txt": project["optional-dependencies"]["dev"]}
    for file, requirements in asked.items():
        text = (ROOT / "requirements" / file).read_text("utf8")
        for requirement in map(Requirement, requirements):
            if requirement.marker is not None:
                name = re.escape(requirement.name)
                line = re.search(rf"^{name}==\S+ ; (.+) \\$", text, re.MULTILINE)
                assert line is not None, requirement
                assert Marker(line[1]) == requirement.marker


def test_what_builds_the_package_is_pinned() -> None:
    version = pinned("requirements/run.txt")["hatchling"]
    assert f'requires = ["hatchling=={version}"]' in (ROOT / "pyproject.toml").read_text("utf8")
