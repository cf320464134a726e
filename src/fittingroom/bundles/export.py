"""Export a bundle in another form: write it aside, verify it, and only then put it in place."""

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
from fittingroom.errors import BundleError, UsageError, install_command
from fittingroom.files import folder_aside

if TYPE_CHECKING:
    from fittingroom.bundles.hub import Predictions
    from fittingroom.bundles.parity import Parity

Format = Literal["onnx", "hub", "triton", "web"]
#: Packages that exporting needs besides the usual dependencies; the extra `onnx` has them.
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    path : the file or the folder
    files : size of each in bytes, by its path in the folder
    parity : how its predictions compare with the bundle's; None if it wasn't verified
    verified_by : what ran the export for that
    """

    format: Format
    path: Path
    files: dict[str, int]
    parity: Parity | None
    verified_by: str | None


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
    path : the ONNX file, the web page, the hub's folder, or Triton's model repository, in which the
        model gets a folder of its own; None names it after the model
    images : (n, height, width) for which onnxruntime must predict what the bundle does, or for a
        page Node.js or Chromium; None skips the verification
    test : for the hub's model card, and for the page
    force : replace an earlier export at that path

    Raises
    ------
    UsageError : a package is missing, or the path exists and can't be replaced
    BundleError : the export differs from the bundle, can't be made of such a model, or can't be
        written
    """
    require_packages()
    from fittingroom.bundles import hub, triton
    from fittingroom.bundles.onnx import write_onnx
    from fittingroom.bundles.parity import verify
    from fittingroom.bundles.web_page import write_web

    name = safe_name(bundle.facts.model)
    place = _place(name, format, None if path is None else Path(path))
    file_names: Collection[str] = {"hub": hub.FILES, "triton": triton.FILES}.get(format, ())
    with _write_aside(place, file_names, force) as aside:
        if format == "web":
            parity, verified_by = write_web(bundle, aside, images, test) or (None, None)
        else:
            if format == "onnx":
                file = write_onnx(bundle, aside)
            elif format == "hub":
                file = hub.write_hub(bundle, aside, name, test)
            else:
                file = triton.write_triton(bundle, aside, name)
            try:
                parity = None if images is None else verify(file, bundle, images)
            except BundleError as error:
                raise BundleError(f"nothing was written, since {error}") from error
            verified_by = None if parity is None else "onnxruntime"
        files = _sizes(aside)
    return Export(format, place, files, parity, verified_by)


def require_packages() -> None:
    """Raise UsageError if a package that exporting needs isn't installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"exporting needs {', '.join(missing)}, which isn't installed; run "
            f"{install_command('onnx')}."
        )


def safe_name(model: str) -> str:
    """A name that is safe for folders and servers; an untrusted bundle may have any name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip(".-")[:64] or "model"


def _place(name: str, format: Format, path: Path | None) -> Path:
    if format == "onnx":
        return path or Path(f"{name}.onnx")
    if format == "web":
        return path or Path(f"{name}.html")
    if format == "hub":
        return path or Path(f"{name}-hub")
    # Not "triton": Python would take that folder for the package of that name, which PyTorch uses.
    return (path or Path("model-repository")) / name


@contextmanager
def _write_aside(place: Path, file_names: Collection[str], force: bool) -> Iterator[Path]:
    """Yield a path to write to, renamed to `place` at the end; a folder if there are `file_names`.

    Raises UsageError and BundleError like `export`.
    """
    _check_free(place, file_names, force)
    with folder_aside(place.parent, BundleError) as scratch:
        aside = scratch / place.name
        if file_names:
            aside.mkdir()
        yield aside
        if place.is_dir():  # only a file can be replaced in one step
            place.rename(scratch / "before")
        aside.replace(place)


def _check_free(place: Path, file_names: Collection[str], force: bool) -> None:
    """Refuse to replace anything; with `force`, anything but an export of the same form."""
    if not (place.exists() or place.is_symlink()):
        return
    if not force:
        raise UsageError(f"{place} already exists; name another path, or replace it with --force.")
    if place.is_symlink() or place.is_dir() != bool(file_names):
        raise UsageError(f"{place} isn't an export in this format; move it or choose another path.")
    unknown = sorted(set(_sizes(place)) - set(file_names)) if file_names else []
    if unknown:
        raise UsageError(
            f"{place} also holds {unknown[0]!r} and won't be replaced; move that away."
        )


def _sizes(path: Path) -> dict[str, int]:
    """Sizes in bytes of a file, or of all files in a folder by their path in it."""
    if path.is_file():
        return {path.name: path.stat().st_size}
    files = (file for file in sorted(path.rglob("*")) if not file.is_dir())
    return {file.relative_to(path).as_posix(): file.lstat().st_size for file in files}
