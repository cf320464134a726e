"""`fittingroom export`: write a saved model for other runtimes, and verify the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fittingroom.cli.options import RUNS, JsonOption, RunsOption
from fittingroom.cli.saved_model import SavedModelArgument, find_saved_model
from fittingroom.errors import DataError, UsageError
from fittingroom.json_text import json_text

if TYPE_CHECKING:
    from fittingroom.bundles.bundle import Bundle
    from fittingroom.bundles.export import Export, Format
    from fittingroom.data.dataset import Dataset

FORMATS = ("onnx", "hub", "triton", "web")


_FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="onnx (a file), hub (a folder for the Hugging Face Hub), triton (a model "
        "repository) or web (one HTML file that runs the model in a browser).",
    ),
]
_OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="The file or folder to write; the default is named after the model.",
    ),
]
_DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        "-d",
        metavar="NAME|PATH",
        help="The data set that the model was fitted on, if it isn't found automatically.",
    ),
]
_VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify/--no-verify",
        help="Compare its predictions of test images with the model's: all by onnxruntime, or "
        "1,000 of a web page by Node.js or Chromium.",
    ),
]
_ForceOption = Annotated[bool, typer.Option("--force", help="Replace an earlier export.")]


def command(
    model: SavedModelArgument,
    format: _FormatOption = "onnx",
    out: _OutOption = None,
    dataset: _DatasetOption = None,
    verify: _VerifyOption = True,
    force: _ForceOption = False,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write a saved model as ONNX, for the Hugging Face Hub, for Triton, or as a web page."""
    if format not in FORMATS:
        raise UsageError(
            f"--format takes {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {format!r}."
        )
    if dataset is not None and not verify:
        raise UsageError("--dataset is only used for verification; omit it or --no-verify.")
    from fittingroom.bundles.bundle import load
    from fittingroom.bundles.export import export, require_packages
    from fittingroom.cli.output import note, say
    from fittingroom.cli.progress import busy

    require_packages()  # before the slow steps
    folder, run = find_saved_model(model, runs)
    if run is not None:
        run.check_model()
    bundle = load(folder)
    images = None
    if verify:
        images = _find_data(bundle, folder, dataset).test.images
        what, compared = "graph", len(images)
        if format == "web":
            from fittingroom.bundles.web_check import IMAGES

            what, compared = "page", min(IMAGES, compared)
        note(f"{bundle.facts.model}: writing the {what}, then comparing {compared:,} predictions")
    test = run.test if run else None
    with busy("exporting"):
        exported = export(
            bundle,
            cast("Format", format),
            out,
            images=images,
            test=(test.probabilities, test.labels) if test else None,
            force=force,
        )
    if exported.parity is None:
        why = ", since neither Node.js nor Chromium was found" if verify else ""
        note(f"not verified: its predictions weren't compared with the model's{why}")
    say(json_text(_facts(bundle, exported)).rstrip() if as_json else _text(exported))


def _find_data(bundle: Bundle, folder: Path, name: str | None) -> Dataset:
    """The data set that the model was fitted on, for its test images."""
    from fittingroom.data.sources import find_again, load_dataset
    from fittingroom.runs.dataset_card import location_of

    data = bundle.facts.data
    if name is not None:
        dataset = load_dataset(name)
        if dataset.sha256 == data.sha256:
            return dataset
        raise DataError(
            f"{name} has the content hash {dataset.sha256[:8]}…, but the model was fitted on "
            f"{data.name} {data.sha256[:8]}…; give that one, or skip verification with --no-verify."
        )
    found = find_again(data.name, location_of(folder), data.sha256)
    if found is None:
        raise DataError(
            f"{data.name} (content hash {data.sha256[:8]}…), needed to verify the export, isn't "
            "found; give its location with --dataset, or skip verification with --no-verify."
        )
    return found


def _text(exported: Export) -> str:
    """The result for people."""
    from fittingroom.formatting import short_path

    lines = [f"{short_path(exported.path)}  {sum(exported.files.values()):,} bytes"]
    if len(exported.files) > 1:
        lines += [f"  {name}  {size:,} bytes" for name, size in exported.files.items()]
    if parity := exported.parity:
        ties = "" if parity.labels_equal == parity.images else " (the others are near-ties)"
        lines.append(
            f"verified by {exported.verified_by}: {parity.labels_equal:,} of {parity.images:,} "
            f"labels equal{ties}, probabilities differ by at most {parity.largest_difference:.1e}"
        )
    return "\n".join(lines)


def _facts(bundle: Bundle, exported: Export) -> dict[str, Any]:
    """The result for programs."""
    parity = exported.parity
    return {
        "schema_version": 1,
        "model": bundle.facts.model,
        "format": exported.format,
        "path": str(exported.path),
        "files": exported.files,
        "verified": None
        if parity is None
        else {
            "by": exported.verified_by,
            "images": parity.images,
            "labels_equal": parity.labels_equal,
            "largest_difference": parity.largest_difference,
        },
    }
