"""requirements/: the pins of constraints.txt, with hashes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import Specifier

ROOT = Path(__file__).parents[1]
#: Its builds for processors and for each CUDA have hashes of their own.
LEFT_OUT = {"torch"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(file: str) -> dict[str, str]:
    """Versions by name."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text("utf8"), re.MULTILINE)
    return {canonical(name): version for name, version in lines}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    return table


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
    extras = project()["optional-dependencies"]
    asked = {"run.txt": project()["dependencies"], "dev.txt": extras["dev"]}
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


def floor(requirement: Requirement) -> str:
    """The version that a requirement gives as its lowest."""
    (lowest,) = (part.version for part in requirement.specifier if part.operator == ">=")
    return lowest


def test_the_lowest_versions_that_are_tested_are_those_of_the_project() -> None:
    done = subprocess.run(
        [sys.executable, "requirements/lowest.py"], cwd=ROOT, capture_output=True, check=True
    )
    tested = {each.name: each for each in map(Requirement, done.stdout.decode().splitlines())}
    extras = project()["optional-dependencies"]
    declared = [each for name, extra in extras.items() if name != "docs" for each in extra]
    for requirement in map(Requirement, [*project()["dependencies"], *declared]):
        constraint = tested[requirement.name]
        assert constraint.specifier == Specifier(f"=={floor(requirement)}"), requirement
        assert constraint.marker == requirement.marker
        assert not constraint.extras  # which pip refuses in a constraint


@pytest.mark.parametrize("requirement", ["numpy", "numpy==2.0", "numpy~=2.0", "numpy<3"])
def test_a_requirement_without_a_lowest_version_is_refused(requirement: str) -> None:
    program = f"import lowest; list(lowest.floors([{requirement!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "requirements", capture_output=True
    )
    assert done.returncode == 1
    assert done.stderr.decode().strip() == f"{requirement!r} names no lowest version"


def test_the_pinned_versions_are_allowed() -> None:
    pins = pinned("constraints.txt")
    for extra in ((), *project()["optional-dependencies"].values()):
        for requirement in map(Requirement, [*project()["dependencies"], *extra]):
            assert requirement.specifier.contains(pins[canonical(requirement.name)]), requirement


def test_the_lowest_versions_in_the_readme_are_those_of_the_project() -> None:
    floors = {each.name: floor(each) for each in map(Requirement, project()["dependencies"])}
    text = (ROOT / "README.md").read_text("utf8")
    sentence = re.search(r"PyTorch \d.+?stay as they are", text, re.DOTALL)
    assert sentence is not None
    named = re.findall(r"([\w-]+) (\d[\d.]*\d)", sentence[0])
    assert len(named) == 5
    for name, version in named:
        assert floors[{"pytorch": "torch"}.get(name.lower(), name.lower())] == version


def test_the_pythons_that_were_tried_are_those_of_the_readme() -> None:
    listed = [
        each.rpartition(" ")[2] for each in project()["classifiers"] if "Python :: 3." in each
    ]
    first, *rest, last = listed
    text = (ROOT / "README.md").read_text("utf8")
    assert f"by Python {', '.join([first, *rest])} or {last}" in text
    assert project()["requires-python"] == f">={first}"
