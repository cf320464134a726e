"""How long does Fashion-MNIST take to read in each form that people have it in, and is it the same?

    python benchmarks/forms.py --out benchmarks/results/forms.json

Writes the data set in every form into a temporary folder, and reads each with `fittingroom data` in
a process of its own: seconds and peak memory of the whole command, and whether the content hash
is the same. Writes the table of docs/data.md.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import record
from PIL import Image
from scipy.io import savemat
from speed_page import columns, put

from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.sources import load_dataset
from fittingroom.files import replace_file

SPLITS = ("train", "test")
PAGE = record.ROOT / "docs" / "data.md"


def idx_files(data: Dataset, folder: Path) -> Path:
    data.write_idx(folder)
    return folder


def idx_gz(data: Dataset, folder: Path) -> Path:
    data.write_idx(folder)
    for file in folder.glob("*ubyte"):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 6))
        file.unlink()
    return folder


def keras_npz(data: Dataset, folder: Path) -> Path:
    arrays = {f"{x}_{split}": array(data, split, x) for split in SPLITS for x in "xy"}
    np.savez_compressed(folder / "fashion.npz", **arrays)
    return folder / "fashion.npz"


def float_npz(data: Dataset, folder: Path) -> Path:
    """Floats from 0 to 1, and labels one-hot."""
    arrays = {}
    for split in SPLITS:
        arrays[f"{split}_images"] = array(data, split, "x").astype(np.float32)[..., None] / 255
        arrays[f"{split}_labels"] = np.eye(10, dtype=np.float32)[array(data, split, "y")]
    np.savez(folder / "floats.npz", **arrays)
    return folder / "floats.npz"


def npy_folder(data: Dataset, folder: Path) -> Path:
    for split in SPLITS:
        for x in "xy":
            np.save(folder / f"{x}_{split}.npy", array(data, split, x))
    return folder


def csv(data: Dataset, folder: Path) -> Path:
    """As `fashion-mnist_train.csv` and `fashion-mnist_test.csv` are on Kaggle."""
    header = ",".join(["label", *(f"pixel{i}" for i in range(1, 785))])
    for split in SPLITS:
        rows = np.column_stack([array(data, split, "y"), array(data, split, "x").reshape(-1, 784)])
        file = folder / f"fashion-mnist_{split}.csv"
        np.savetxt(file, rows, "%d", ",", header=header, comments="")
    return folder / "fashion-mnist_train.csv"


def csv_zip(data: Dataset, folder: Path) -> Path:
    csv(data, folder)
    return Path(shutil.make_archive(str(folder.parent / "archive"), "zip", folder))


def parquet(data: Dataset, folder: Path) -> Path:
    """Encoded pictures, as on Hugging Face."""
    for split in SPLITS:
        pictures = [{"bytes": png(image), "path": None} for image in array(data, split, "x")]
        table = pa.table({"image": pictures, "label": array(data, split, "y")})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def parquet_pixels(data: Dataset, folder: Path) -> Path:
    for split in SPLITS:
        pixels = pa.FixedSizeListArray.from_arrays(pa.array(array(data, split, "x").ravel()), 784)
        table = pa.table({"image": pixels, "label": array(data, split, "y")})
        pq.write_table(table, folder / f"{split}.parquet")
    return folder


def emnist(data: Dataset, folder: Path) -> Path:
    """Transposed images under other names, in a `.tar.gz`."""
    data.write_idx(folder)
    for file in list(folder.glob("*ubyte")):
        content = bytearray(file.read_bytes())
        if "images" in file.name:
            images = np.frombuffer(bytes(content[16:]), np.uint8).reshape(-1, 28, 28)
            content[16:] = images.transpose(0, 2, 1).tobytes()
        renamed = file.name.replace("t10k", "test")
        (folder / f"emnist-garments-{renamed}").write_bytes(content)
        file.unlink()
    (folder / "dataset.json").unlink()
    return Path(shutil.make_archive(str(folder.parent / "emnist"), "gztar", folder))


def emnist_mat(data: Dataset, folder: Path, compressed: bool = True) -> Path:
    """Transposed images, as EMNIST's files for MATLAB have them."""
    parts = {}
    for split in SPLITS:
        images, labels = array(data, split, "x"), array(data, split, "y")
        rows = images.transpose(0, 2, 1).reshape(len(images), -1)
        parts[split] = {"images": rows, "labels": labels[:, None].astype(np.uint8)}
    file = folder / "emnist-garments.mat"
    savemat(file, {"dataset": parts}, do_compression=compressed)
    return file


def plain_mat(data: Dataset, folder: Path) -> Path:
    return emnist_mat(data, folder, compressed=False)


def pictures(data: Dataset, folder: Path) -> Path:
    """PNG files in folders of classes; their names in alphabetical order are other labels."""
    for split in SPLITS:
        for name in data.class_names:
            (folder / split / name.replace("/", "-")).mkdir(parents=True)
        for i, (image, label) in enumerate(
            zip(array(data, split, "x"), array(data, split, "y"), strict=True)
        ):
            name = data.class_names[label].replace("/", "-")
            (folder / split / name / f"{i:05}.png").write_bytes(png(image))
    return folder


#: Those that hold images and labels in the order of the four files, and so have their hash.
FORMS: dict[str, Callable[[Dataset, Path], Path]] = {
    "IDX files": idx_files,
    "IDX files, `.gz`": idx_gz,
    "IDX files as EMNIST's, `.tar.gz`": emnist,
    "`.npz` as Keras's": keras_npz,
    "`.npz` of floats, labels one-hot": float_npz,
    "folder of `.npy`": npy_folder,
    "CSV as on Kaggle": csv,
    "the same as `.zip`": csv_zip,
    "Parquet as on Hugging Face": parquet,
    "Parquet, lists of pixels": parquet_pixels,
    "`.mat` as EMNIST's": emnist_mat,
    "the same, not compressed": plain_mat,
    "folders of PNG pictures": pictures,
}


def array(data: Dataset, split: str, x: str) -> Any:
    part: Split = getattr(data, split)
    return part.images if x == "x" else part.labels


def png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def read(path: Path) -> dict[str, Any]:
    """What `fittingroom data` says of a path, how long it takes, and at most how much memory."""
    command = [sys.executable, "-m", "fittingroom", "data", str(path), "--json"]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.01)
        assert process.stdout is not None
        said = json.loads(process.stdout.read())
    return {
        "name": said["name"],
        "sha256": said["sha256"],
        "seconds": round(time.perf_counter() - start, 2),
        "peak_bytes": peak,
    }


def size_of(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = load_dataset("fashion-mnist")
    rows = []
    for title, write in FORMS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "garments"
            folder.mkdir()
            path = write(data, folder)
            row = {"form": title, "bytes": size_of(path), **read(path)}
        rows.append({**row, "same": row["sha256"] == data.sha256})
        print(table(rows)[-1], flush=True)
    record.write(options.out, {"rows": rows})
    page = put(PAGE.read_text(encoding="utf-8"), "forms", table(rows))
    replace_file(PAGE, page)


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the table of docs/data.md."""
    titles = ["form", "files", "whole command", "memory", "same hash"]
    lines = [columns(titles), columns(["---"] * len(titles))]
    return lines + [
        columns(
            [
                row["form"],
                f"{row['bytes'] / 1e6:.0f} MB",
                f"{row['seconds']:.1f} s",
                f"{row['peak_bytes'] / 1e6:.0f} MB",
                "yes" if row["same"] else "no",
            ]
        )
        for row in rows
    ]


if __name__ == "__main__":
    main()
