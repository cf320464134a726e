"""`fittingroom export`: a saved model in a form that others run, held against ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fittingroom.cli.options import JsonOption
from fittingroom.errors import DataError, StoreError, UsageError
from fittingroom.json_text import json_text

if TYPE_CHECKING:
    from fittingroom.bundles.bundle import Bundle
    from fittingroom.bundles.export import Export, Format
    from fittingroom.data.dataset import Dataset
    from fittingroom.runs.run import Run

FORMATS = ("onnx", "hub", "triton")


def command(
    run: Annotated[Path, typer.Argument(help="The folder of a saved run or bundle.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="onnx (a file), hub (a folder for the Hugging Face Hub) or triton (a model "
            "repository).",
        ),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(help="The file or folder to write; the default is named after the model."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            help="The data set that it was fitted on, if that isn't found automatically.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Compare predictions with onnxruntime on all test images."
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a saved model as ONNX, as a folder for the Hugging Face Hub, or for Triton."""
    if format not in FORMATS:
        raise UsageError(
            f"--format takes {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {format!r}."
        )
    if dataset is not None and not verify:
        raise UsageError("--dataset is only for verification; leave it or --no-verify out.")
    from fittingroom.bundles.bundle import load
    from fittingroom.bundles.export import export, require_packages
    from fittingroom.cli.output import note, say

    require_packages()  # before the seconds that the others take
    saved = _run_of(run)
    bundle = load(run / "model" if saved else run)
    images = None
    if verify:
        images = _data_of(bundle, run, dataset).test.images
        note(f"{bundle.facts.model}: writing the graph, then comparing {len(images):,} predictions")
    test = saved.test if saved else None
    written = export(
        bundle,
        cast("Format", format),
        out,
        images=images,
        test=(test.probabilities, test.labels) if test else None,
        force=force,
    )
    if written.parity is None:
        note("not verified: its predictions weren't compared with the model's")
    say(json_text(_facts(bundle, written)).rstrip() if as_json else _text(written))


def _run_of(folder: Path) -> Run | None:
    """The run in a folder, None where only a bundle lies there."""
    from fittingroom.runs.run import read_run

    if not (folder / "run.json").exists():
        return None
    if not (folder / "model").is_dir():
        raise StoreError(
            f"the run in {folder} kept no model, so there is nothing to export; compare or fit it "
            "again into another folder (--runs), with --keep-models all."
        )
    run = read_run(folder)
    run.check_model()
    return run


def _data_of(bundle: Bundle, run: Path, asked: str | None) -> Dataset:
    """The data that the model was fitted on, of which the test images are looked at."""
    from fittingroom.data.sources import find_again, load_dataset

    data = bundle.facts.data
    if asked is not None:
        found = load_dataset(asked)
        if found.sha256 == data.sha256:
            return found
        raise DataError(
            f"{asked} has the content hash {found.sha256[:8]}…, but the model was fitted on "
            f"{data.name} {data.sha256[:8]}…; give that one, or skip verification with --no-verify."
        )
    again = find_again(data.name, _location(run), data.sha256)
    if again is None:
        raise DataError(
            f"{data.name} (content hash {data.sha256[:8]}…), needed to verify the export, isn't "
            "found; give its location with --dataset, or skip verification with --no-verify."
        )
    return again


def _location(run: Path) -> str | None:
    """Where the data of a run in a store were found when it was fitted."""
    from fittingroom.runs.dataset_card import CARD, DatasetCard

    try:
        return DatasetCard.read(run.resolve().parents[1] / CARD).location
    except (StoreError, IndexError):
        return None


def _text(written: Export) -> str:
    """What was written, for people."""
    from fittingroom.formatting import short_path

    lines = [f"{short_path(written.path)}  {sum(written.files.values()):,} bytes"]
    if len(written.files) > 1:
        lines += [f"  {name}  {size:,} bytes" for name, size in written.files.items()]
    if found := written.parity:
        lines.append(
            f"verified by onnxruntime: {found.labels_equal:,} of {found.images:,} labels equal, "
            f"probabilities differ by at most {found.largest_difference:.1e}"
        )
    return "\n".join(lines)


def _facts(bundle: Bundle, written: Export) -> dict[str, Any]:
    """The same for programs."""
    found = written.parity
    return {
        "schema_version": 1,
        "model": bundle.facts.model,
        "format": written.format,
        "path": str(written.path),
        "files": written.files,
        "verified": None
        if found is None
        else {
            "images": found.images,
            "labels_equal": found.labels_equal,
            "largest_difference": found.largest_difference,
        },
    }
