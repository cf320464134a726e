"""A bundle in another form: written aside, verified, and only then put into its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fittingroom.bundles.bundle import Bundle
from fittingroom.errors import BundleError, UsageError
from fittingroom.files import folder_aside

if TYPE_CHECKING:
    from fittingroom.bundles.hub import Predictions
    from fittingroom.bundles.parity import Parity

Format = Literal["onnx", "hub", "triton"]
#: What exporting takes besides the package's own dependencies; the extra `onnx` has them.
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    path : the file or the folder
    files : bytes of each, by its place in the folder
    parity : how its ONNX file compares with the bundle; None if that wasn't asked for
    """

    format: Format
    path: Path
    files: dict[str, int]
    parity: Parity | None


def export(
    bundle: Bundle,
    format: Format,
    path: Path | str | None = None,
    *,
    images: NDArray[np.uint8] | None,
    test: Predictions | None = None,
    force: bool = False,
) -> Export:
    """Write a bundle in another form.

    Parameters
    ----------
    path : the ONNX file, the hub's folder, or Triton's model repository, in which the model gets a
        folder of its own; None calls it after the model
    images : (n, height, width) on which onnxruntime must give what the bundle gives; None leaves
        the export unverified
    test : for the hub's model card
    force : replace what an earlier export left at that place

    Raises
    ------
    UsageError : a package is missing; something lies there and isn't to be replaced
    BundleError : it isn't what the bundle is, can't be a graph at all, or can't be written
    """
    require_packages()
    from fittingroom.bundles import hub, triton
    from fittingroom.bundles.onnx import write_onnx
    from fittingroom.bundles.parity import verify

    name = _name(bundle.facts.model)
    place = _place(name, format, None if path is None else Path(path))
    known: Collection[str] = {"onnx": (), "hub": hub.FILES, "triton": triton.FILES}[format]
    with _written_aside(place, known, force) as aside:
        if format == "onnx":
            file = write_onnx(bundle, aside)
        elif format == "hub":
            file = hub.write_hub(bundle, aside, name, test)
        else:
            file = triton.write_triton(bundle, aside, name)
        parity = None if images is None else verify(file, bundle, images)
        files = _files(aside)
    return Export(format, place, files, parity)


def require_packages() -> None:
    """Raise UsageError where the packages that exporting takes aren't installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"exporting takes {', '.join(missing)}, which isn't installed here; run pip install "
            "'fittingroom[onnx]'."
        )


def _name(model: str) -> str:
    """A name that folders and servers take; a stranger's bundle may be called anything."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip(".-")[:64] or "model"


def _place(name: str, format: Format, path: Path | None) -> Path:
    if format == "onnx":
        return path or Path(f"{name}.onnx")
    if format == "hub":
        return path or Path(f"{name}-hub")
    # Not "triton": Python would take that folder for a package of this name, which PyTorch imports.
    return (path or Path("model-repository")) / name


@contextmanager
def _written_aside(place: Path, known: Collection[str], force: bool) -> Iterator[Path]:
    """A path to write to, renamed to `place` at the end: a folder, if an export has `known` files.

    Raises UsageError, BundleError as `export`.
    """
    _check_free(place, known, force)
    with folder_aside(place.parent, BundleError) as room:
        aside = room / place.name
        if known:
            aside.mkdir()
        yield aside
        if place.is_dir():  # only a file can be replaced in one step
            place.rename(room / "before")
        aside.replace(place)


def _check_free(place: Path, known: Collection[str], force: bool) -> None:
    """Refuse to replace anything but, by force, an export of the same form."""
    if not (place.exists() or place.is_symlink()):
        return
    if not force:
        raise UsageError(f"{place} is there already; name another place, or replace it by --force.")
    if place.is_symlink() or place.is_dir() != bool(known):
        raise UsageError(f"{place} is no such export and won't be replaced; remove it yourself.")
    strange = sorted(set(_files(place)) - set(known)) if known else []
    if strange:
        raise UsageError(f"{place} holds {strange[0]!r} too and won't be replaced; move that away.")


def _files(path: Path) -> dict[str, int]:
    """Bytes of a file, or of all files in a folder by their place in it."""
    if path.is_file():
        return {path.name: path.stat().st_size}
    files = (file for file in sorted(path.rglob("*")) if not file.is_dir())
    return {file.relative_to(path).as_posix(): file.lstat().st_size for file in files}
