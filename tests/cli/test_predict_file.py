"""predict_file.py: the classes of a file of images without labels, on the command line."""

from __future__ import annotations

import csv
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fittingroom.bundles.bundle import load
from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError


def predict(*arguments: str) -> str:
    """What it prints on stderr."""
    result = CliRunner().invoke(app, ["predict", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stderr


def refusal(*arguments: str) -> str:
    with pytest.raises(FittingroomError) as caught:
        predict(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("name", ["test.csv", "labelled.csv", "images.npy", "t-idx3-ubyte.gz"])
def test_images_without_labels(name: str, run: str, small: Dataset, tmp_path: Path) -> None:
    """As of a competition's test file: each has the class that the model gives it."""
    images = small.test.images[:30]
    rows = images.reshape(30, -1)
    if name.endswith(".csv"):
        table = np.column_stack([np.arange(30), rows]) if name == "labelled.csv" else rows
        np.savetxt(tmp_path / name, table, "%d", ",")
    elif name.endswith(".npy"):
        np.save(tmp_path / name, images)
    else:
        header = struct.pack(">4I", 0x803, *images.shape)
        (tmp_path / name).write_bytes(gzip.compress(header + images.tobytes()))
    out = tmp_path / "classes.csv"
    stderr = predict(run, str(tmp_path / name), "--csv", str(out))
    assert "30 images" in stderr
    with out.open(newline="") as file:
        lines = [*csv.DictReader(file)]
    assert [line["image"] for line in lines] == [str(n) for n in range(1, 31)]
    assert [line["class"] for line in lines] == load(run).predict(images).tolist()


def test_a_file_of_images_needs_a_file_for_their_classes(
    run: str, small: Dataset, tmp_path: Path
) -> None:
    table, picture = tmp_path / "test.csv", tmp_path / "boot.png"
    Image.fromarray(small.test.images[0]).save(picture)
    np.savetxt(table, small.test.images[:3].reshape(3, -1), "%d", ",")
    alone = f"{table} is a file of images; give it alone"
    assert alone in refusal(run, str(table))
    out = ["--csv", str(tmp_path / "out.csv")]
    assert alone in refusal(run, str(picture), str(table), *out)
    assert alone in refusal(run, str(table), "--json", *out)
    assert "can't be written" in refusal(run, str(table), "--csv", str(tmp_path / "no" / "x"))
    assert "--csv would replace" in refusal(run, str(table), "--csv", str(table))
    np.savetxt(table, np.zeros((3, 64)), "%d", ",")
    assert "holds images of 8×8; " in refusal(run, str(table), *out)
    table.write_text("1,2,x,4\n1,2,3,4\n1,2,y,4\n")
    assert "test.csv" in refusal(run, str(table), *out)
    np.save(tmp_path / "a.npy", np.zeros((3, 28, 28, 2)))
    assert "a.npy" in refusal(run, str(tmp_path / "a.npy"), *out)
    assert not (tmp_path / "out.csv").exists()
