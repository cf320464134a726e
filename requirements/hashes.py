"""Writes run.txt, dev.txt and docs.txt: the pins of constraints.txt with hashes of their files.

    .venv/bin/python requirements/hashes.py

Of the pins it takes those that an installation needs here, asks the public index for the hash of
every wheel of that version, and keeps the marker under which each is needed. torch is left out: its
builds for processors and for each CUDA have hashes of their own, and need other things.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip._internal.models.index import PyPI

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"
#: What builds the package itself, which is then done without downloading anything.
BUILD = ("hatchling", "editables")
LEFT_OUT = {"fittingroom", "torch", "pip"}
#: A marker that asks for an extra, and what else it asks for.
_OF_EXTRA = re.compile(r'(?:(?P<rest>.+) and )?extra == "(?P<extra>[^"]+)"')


def pins() -> dict[str, str]:
    """Versions by canonical name."""
    lines = (line.split("==") for line in CONSTRAINTS.read_text("utf8").splitlines())
    return {canonicalize_name(name): version for name, version in lines}


def needed(name: str, extra: str) -> Iterator[tuple[str, str, Marker | None]]:
    """Name, extra and marker of what a package requires, without markers that ask for an extra."""
    try:
        required = requires(name) or []
    except PackageNotFoundError:  # needed on other systems alone
        return
    for requirement in map(Requirement, required):
        marker = requirement.marker
        if of_extra := _OF_EXTRA.fullmatch(str(marker)):
            if of_extra["extra"] != extra:
                continue
            marker = Marker(of_extra["rest"]) if of_extra["rest"] else None
        if marker is not None and not can_hold(marker):
            continue
        for with_extra in requirement.extras or [""]:
            yield canonicalize_name(requirement.name), with_extra, marker


def can_hold(marker: Marker) -> bool:
    """Whether a marker holds on any system that this package runs on."""
    return any(systems_of(marker))


def systems_of(marker: Marker) -> list[bool]:
    """Whether a marker holds, on each system that this package runs on."""
    systems = (
        ("linux", "Linux", "posix"),
        ("darwin", "Darwin", "posix"),
        ("win32", "Windows", "nt"),
    )
    return [
        marker.evaluate(
            {
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": platform,
                "platform_system": system,
                "os_name": name,
                "platform_machine": machine,
                "platform_python_implementation": "CPython",
                "implementation_name": "cpython",
            }
        )
        for python in ("3.11", "3.12", "3.13", "3.14")
        for platform, system, name in systems
        for machine in ("x86_64", "AMD64", "arm64", "aarch64")
    ]


def closure(roots: list[tuple[str, str]]) -> dict[str, Marker | None]:
    """What the roots need, each with the marker under which it is needed."""
    found: dict[str, Marker | None] = {}
    to_do: list[tuple[str, str, Marker | None]] = [(*root, None) for root in roots]
    seen = set()
    while to_do:
        name, extra, marker = to_do.pop()
        if (name, extra, str(marker)) in seen:
            continue
        seen.add((name, extra, str(marker)))
        found[name] = either(found[name], marker) if name in found else marker
        to_do += [(n, e, both(marker, m)) for n, e, m in needed(name, extra)]
    return found


def both(one: Marker | None, other: Marker | None) -> Marker | None:
    """The marker under which both hold; None always does."""
    if one is None or other is None or str(one) == str(other):
        return one or other
    return Marker(f"({one}) and ({other})")


def either(one: Marker | None, other: Marker | None) -> Marker | None:
    """The marker under which one of them holds; None always does."""
    if one is None or other is None:
        return None
    where, where_too = systems_of(one), systems_of(other)
    together = [each or too for each, too in zip(where, where_too, strict=True)]
    if together == where:  # the other one adds nothing
        return one
    return other if together == where_too else Marker(f"({one}) or ({other})")


def hashes(name: str, version: str) -> list[str]:
    """Of every wheel of a version."""
    request = urllib.request.Request(
        f"{PyPI.simple_url}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    return sorted(
        file["hashes"]["sha256"]
        for file in files
        if file["filename"].endswith(".whl") and file["filename"].split("-")[1] == version
    )


def write(path: Path, packages: dict[str, Marker | None]) -> None:
    """A requirements file for `pip install --require-hashes --no-deps`."""
    versions, blocks = pins(), []
    for name, marker in sorted(packages.items()):
        if name in LEFT_OUT:
            continue
        if name not in versions:
            raise SystemExit(f"{name} is needed, but constraints.txt doesn't pin it")
        digests = hashes(name, versions[name])
        if not digests:
            raise SystemExit(f"{name} {versions[name]} has no wheel")
        first = f"{name}=={versions[name]}" + (f" ; {marker}" if marker else "")
        blocks.append(" \\\n".join([first, *(f"    --hash=sha256:{each}" for each in digests)]))
    path.write_text("\n".join(blocks) + "\n", "utf8")


if __name__ == "__main__":
    assert distribution("fittingroom")
    run = closure([("fittingroom", ""), ("fittingroom", "photos"), *((name, "") for name in BUILD)])
    dev = closure([("fittingroom", "dev")])
    docs = closure([("fittingroom", "docs")])
    write(HERE / "run.txt", run)
    write(HERE / "dev.txt", {name: marker for name, marker in dev.items() if name not in run})
    others = {name: marker for name, marker in docs.items() if name not in {**run, **dev}}
    write(HERE / "docs.txt", others)
