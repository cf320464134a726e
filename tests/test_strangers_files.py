"""Every reader of untrusted files, given the same kinds of bad files.

Each is refused in one sentence that names the file, within 5 seconds and 1.5 GB, and leaves
the other files readable.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import os
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.bench.tuning.space import read_space
from fittingroom.bench.zalando.zalando import STOPPED, _read_stopped
from fittingroom.bundles.bundle import load
from fittingroom.cli.options import read_settings
from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import decode
from fittingroom.data.sources import load_dataset
from fittingroom.errors import FittingroomError
from fittingroom.reporting.words import summary
from fittingroom.runs.external import add_predictions
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import find_store, open_store
from fittingroom.training.checkpoint import Checkpoint, State

SECONDS, BYTES = 5.0, 1.5e9
CLAIM = Path("src/fittingroom/bench/claims")


@pytest.fixture(scope="module")
def whole(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good file for each reader."""
    folder = tmp_path_factory.mktemp("whole")
    fill(folder, small)
    return folder


def fill(folder: Path, small: Dataset) -> None:
    """Put a good file for each reader into a folder."""
    small.write_idx(folder / "idx")
    path = folder / "idx" / "t10k-images-idx3-ubyte"
    (folder / "gz").mkdir()
    for file in (folder / "idx").iterdir():
        shutil.copy(file, folder / "gz")
    (folder / "gz" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    (folder / "gz" / path.name).unlink()
    for split in ("train", "test"):
        part = getattr(small, split)
        for position in range(60):
            place = folder / "pictures" / split / str(part.labels[position])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.images[position]).save(place / f"{position:02}.png")
    arrays: dict[str, Any] = {}
    structs: dict[str, Any] = {}
    (folder / "csv").mkdir()
    (folder / "npy").mkdir()
    for split in ("train", "test"):
        part = getattr(small, split)
        arrays |= {f"x_{split}": part.images[::5], f"y_{split}": part.labels[::5]}
        table = np.column_stack([part.labels, part.images.reshape(len(part), -1)])[::5]
        np.savetxt(folder / "csv" / f"{split}.csv", table, fmt="%d", delimiter=",")
        structs[split] = {"images": table[:, 1:].astype("u1"), "labels": table[:, :1]}
    np.savez(folder / "data.npz", **arrays)
    savemat(folder / "data.mat", {"dataset": structs}, do_compression=True)
    for name, array in arrays.items():
        np.save(folder / "npy" / f"{name}.npy", array)
    shutil.make_archive(str(folder / "data"), "zip", folder / "csv")
    pixels = small.train.images[::5].reshape(len(small.train) // 5, -1)
    table = pa.table({"image": pixels.tolist(), "label": small.train.labels[::5]})
    pq.write_table(table, folder / "data.parquet")
    Image.fromarray(small.test.images[0]).save(folder / "photo.png")
    predicted = small.test.labels.copy()
    predicted[::7] = (predicted[::7] + 1) % 10
    np.savez(folder / "theirs.npz", labels=predicted)
    (folder / "settings.json").write_text('{"model": "knn", "settings": {"n_neighbors": 3}}')
    (folder / "space.toml").write_text('n_neighbors = "1..9"\n')
    claims = Path(__file__).parents[1] / CLAIM
    shutil.copy(next(iter(sorted(claims.glob("*.toml")))), folder / "claim.toml")
    store = open_store(folder / "runs", small)
    for model, settings in (("knn", {}), ("logistic", {}), ("mlp-10-10", {"epochs": 1})):
        fit(spec_of(small, model, settings=settings), small, store)
    entries = [
        Entry.of(
            run.record.spec, label=run.record.label, seeds=(0,), deterministic=True, trained_on=1
        ).ended("ok")
        for run in store.runs()
    ]
    Comparison(entries=tuple(entries)).save(store)
    limits = {"seconds": 1.0, "memory": None}
    stopped = {"0123": {"status": "timeout", "reason": "slow", "limits": limits}}
    store.write_text(STOPPED, json.dumps(stopped))
    Checkpoint(folder / "state.safetensors").write(State({"w": torch.zeros(3)}, {"epoch": 1}))


def of_run(folder: Path, model: str, name: str) -> Path:
    return next((folder / "runs").glob(f"*/{model}/*/{name}"))


@dataclass(frozen=True)
class Reader:
    """A file that is read, and what is said of it if it is bad."""

    file: Callable[[Path], Path]
    read: Callable[[Path], object]


def rows(folder: Path) -> str:
    """What the store's table says of bad files; the other rows must remain."""
    board = leaderboard(find_store(folder / "runs"))
    assert sum(row.status == "ok" for row in board.rows) >= 2
    return " ".join([*(row.reason or "" for row in board.rows), *board.notes])


def checkpoint(folder: Path) -> str:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger("fittingroom.training").addHandler(handler)
    try:
        assert Checkpoint(folder / "state.safetensors").read() is None
    finally:
        logging.getLogger("fittingroom.training").removeHandler(handler)
    return said.getvalue()


def added(folder: Path) -> None:
    data = load_dataset(folder / "idx")
    add_predictions(open_store(folder / "runs", data), data, "theirs", folder / "theirs.npz")


def in_idx(name: str) -> Reader:
    return Reader(lambda f: f / "idx" / name, lambda f: load_dataset(f / "idx"))


def in_run(model: str, name: str, read: Callable[[Path], object] = rows) -> Reader:
    return Reader(lambda f: of_run(f, model, name), read)


def bundle_of(model: str) -> Callable[[Path], object]:
    return lambda f: load(next((f / "runs").glob(f"*/{model}/*/model")))


READERS = {
    "images": in_idx("train-images-idx3-ubyte"),
    "labels": in_idx("train-labels-idx1-ubyte"),
    "labels.txt": in_idx("labels.txt"),
    "dataset.json": in_idx("dataset.json"),
    "images.gz": Reader(
        lambda f: f / "gz" / "t10k-images-idx3-ubyte.gz", lambda f: load_dataset(f / "gz")
    ),
    "picture of a class": Reader(
        lambda f: sorted((f / "pictures" / "train" / "1").iterdir())[0],
        lambda f: load_dataset(f / "pictures"),
    ),
    "arrays of a data set": Reader(
        lambda f: f / "data.npz", lambda f: load_dataset(f / "data.npz")
    ),
    "array in a folder": Reader(
        lambda f: f / "npy" / "x_test.npy", lambda f: load_dataset(f / "npy")
    ),
    "CSV": Reader(
        lambda f: f / "csv" / "test.csv", lambda f: load_dataset(f / "csv" / "train.csv")
    ),
    "archive": Reader(lambda f: f / "data.zip", lambda f: load_dataset(f / "data.zip")),
    "Parquet": Reader(lambda f: f / "data.parquet", lambda f: load_dataset(f / "data.parquet")),
    "MATLAB": Reader(lambda f: f / "data.mat", lambda f: load_dataset(f / "data.mat")),
    "photo": Reader(lambda f: f / "photo.png", lambda f: decode(f / "photo.png")),
    "predictions to add": Reader(lambda f: f / "theirs.npz", added),
    "settings": Reader(lambda f: f / "settings.json", lambda f: read_settings(f / "settings.json")),
    "space": Reader(lambda f: f / "space.toml", lambda f: read_space(f / "space.toml")),
    "claim": Reader(lambda f: f / "claim.toml", lambda f: load_claims([str(f / "claim.toml")])),
    "run.json": in_run("knn", "run.json"),
    "predictions.npz": in_run("knn", "predictions.npz"),
    "history.csv": in_run("mlp-10-10", "history.csv"),
    "comparison.json": Reader(lambda f: next((f / "runs").glob("*/comparison.json")), rows),
    "card of a store": Reader(
        lambda f: next((f / "runs").glob("*/dataset.json")), lambda f: find_store(f / "runs")
    ),
    "zalando-stopped.json": Reader(
        lambda f: next((f / "runs").glob(f"*/{STOPPED}")),
        lambda f: _read_stopped(find_store(f / "runs")),
    ),
    "manifest": in_run("logistic", "model/manifest.json", bundle_of("logistic")),
    "estimator": in_run("logistic", "model/estimator.skops", bundle_of("logistic")),
    "weights": in_run("mlp-10-10", "model/weights.safetensors", bundle_of("mlp-10-10")),
    "checkpoint": Reader(lambda f: f / "state.safetensors", checkpoint),
}


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_out(path: Path) -> None:
    elsewhere = path.parents[-3] / f"elsewhere-{os.getpid()}-{path.name}"
    shutil.copy(path, elsewhere)
    path.unlink()
    path.symlink_to(elsewhere)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@cache
def gzip_bomb() -> bytes:
    """Images of two gigabytes in a few megabytes."""
    header = bytes.fromhex("00000803 00010000 00000080 00000100")
    zeros = gzip.compress(bytes(2**24), compresslevel=1)  # a stream may have many members
    return gzip.compress(header) + zeros * 128


@cache
def zip_bomb() -> bytes:
    """Two arrays of 600 MB each in a few megabytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("labels", "test_probabilities"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "<f8", "fortran_order": False, "shape": (75 * 2**20,)}
                )
                for _ in range(75):
                    member.write(bytes(2**23))
    return data.getvalue()


@cache
def mat_bomb() -> bytes:
    """A struct of two gigabytes in a few megabytes."""
    packer = zlib.compressobj(1)
    start = packer.compress(struct.pack("<II", 14, 2**31)) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = start + zeros * 128
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return header + struct.pack("<II", 15, len(packed)) + packed


def bomb(path: Path) -> None:
    """Two gigabytes in a few megabytes, in the file's own form if it has one."""
    if path.suffix == ".gz":
        path.write_bytes(gzip_bomb())
    elif path.suffix in (".npz", ".skops", ".zip"):
        path.write_bytes(zip_bomb())
    elif path.suffix == ".mat":
        path.write_bytes(mat_bomb())
    elif path.suffix == ".png":
        Image.new("L", (60_000, 900)).save(path)
    else:
        with path.open("wb") as file:  # which takes no space on disk
            file.truncate(2**31)


BAD: dict[str, Callable[[Path], object]] = {
    "a pipe": pipe,
    "a device": device,
    "a link out": link_out,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncated,
    "deep": lambda path: path.write_bytes(b"[" * 200_000),
    "huge numbers": lambda path: path.write_text(
        '{"schema_version": 1, "entries": ' + "9" * 100_000 + "}"
    ),
    "wrong types": lambda path: path.write_text('{"schema_version": [], "model": {}, "name": 1}'),
    "another's content": lambda path: shutil.copy(Path(__file__), path),
    "a bomb": bomb,
}
#: A good file may be a link to anywhere if the user named the file itself and not its folder.
ALLOWED = {
    (reader, "a link out")
    for reader in (
        *("photo", "predictions to add", "settings", "space", "claim", "checkpoint"),
        *("arrays of a data set", "archive", "Parquet", "MATLAB"),
    )
}


@contextmanager
def measured() -> Iterator[Callable[[], tuple[float, float]]]:
    """A function for the seconds and the peak bytes of memory taken so far."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    began, before = time.perf_counter(), psutil.Process().memory_info().rss

    def so_far() -> tuple[float, float]:
        status = Path("/proc/self/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return time.perf_counter() - began, int(peak.split()[1]) * 1024 - before

    yield so_far


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("reader", READERS)
def test_bad_files(reader: str, bad: str, whole: Path, tmp_path: Path) -> None:
    if (reader, bad) in ALLOWED:
        pytest.skip("the user named the file itself")
    folder = tmp_path / "given"
    shutil.copytree(whole, folder)
    path = READERS[reader].file(folder)
    BAD[bad](path)
    with measured() as so_far:
        try:
            said = str(READERS[reader].read(folder) or "")
        except FittingroomError as error:
            said = str(error)
            assert "\n" not in said
        seconds, peak = so_far()
    assert seconds < SECONDS
    assert peak < BYTES
    assert path.name in said, "it must be named"


@pytest.mark.parametrize("reader", READERS)
def test_good_files(reader: str, whole: Path, tmp_path: Path) -> None:
    """Without this the other test could not fail."""
    if reader == "checkpoint":
        assert Checkpoint(whole / "state.safetensors").read() is not None
        return
    folder = tmp_path / "given"
    shutil.copytree(whole, folder)
    READERS[reader].read(folder)
    if READERS[reader].read is rows:
        assert "can't be read" not in rows(folder)


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one bit flipped."""
    place = int(rng.integers(len(data)))
    return data[:place] + bytes([data[place] ^ (1 << rng.integers(8))]) + data[place + 1 :]


@pytest.mark.parametrize("bits", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_single_bits_of_saved_runs(bits: int, whole: Path, tmp_path: Path) -> None:
    """Each changes nothing, or its file is named and the other rows remain."""
    folder = tmp_path / "given"
    shutil.copytree(whole, folder)
    store, rng = find_store(folder / "runs"), np.random.default_rng(1)
    before = leaderboard(store).to_dict()
    files = {path: path.read_bytes() for run in store.runs() for path in all_files(run.folder)}
    named = 0
    for _ in range(bits):
        path = list(files)[int(rng.integers(len(files)))]
        path.write_bytes(flipped(files[path], rng))
        if path.parent.name == "model":
            with pytest.raises(FittingroomError, match=path.name):
                load(path.parent)
        now = leaderboard(store).to_dict()
        if now != before:
            row = next(row for row in now["rows"] if row["status"] != "ok")
            assert row["status"] == "unreadable"
            assert path.name in row["reason"]
            others = [other["model"] for other in now["rows"] if other["status"] == "ok"]
            assert len(others) == len(now["rows"]) - 1 == len(before["rows"]) - 1
            named += 1
        path.write_bytes(files[path])
    assert named > bits / 4
    assert leaderboard(store).to_dict() == before


def all_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_single_bits_of_a_checkpoint(tmp_path: Path) -> None:
    """Each changes nothing, or training starts from scratch and says why."""
    file, rng = Checkpoint(tmp_path / "state.safetensors"), np.random.default_rng(1)
    tensors = {"w": torch.randn(20, 30), "mean": torch.zeros(7, dtype=torch.bfloat16)}
    file.write(State(tensors, {"epoch": 3, "best": 0.5, "identity": ["mlp", 28]}))
    whole, refused = file.path.read_bytes(), 0
    for _ in range(300):
        file.path.write_bytes(flipped(whole, rng))
        state = file.read()
        if state is None:
            refused += 1
            continue
        assert state.facts == {"epoch": 3, "best": 0.5, "identity": ["mlp", 28]}
        assert all(torch.equal(state.tensors[name], tensors[name]) for name in tensors)
    assert refused > 290


def test_a_file_being_written_elsewhere_is_left_alone(whole: Path, tmp_path: Path) -> None:
    """Another machine that opens the store of a shared folder."""
    folder = tmp_path / "given"
    shutil.copytree(whole, folder)
    data = load_dataset(folder / "idx")
    store = open_store(folder / "runs", data)
    elsewhere = store.folder / ".partial-0123abcd-1-1700000000-abcdef12"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text("{")
    open_store(folder / "runs", data)
    assert (elsewhere / "run.json").exists()


#: What a stranger may write in place of any value.
ODD: tuple[object, ...] = (
    *(None, True, -1, 2**70, "", "a\nb", "\x1b[2J", "x" * 3000),
    *([], [[]], {}, {"a": {"b": [1]}}),
)


def places(value: object, place: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The places of values in parsed JSON, the outermost first."""
    yield place
    pairs: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield from places(inner, (*place, key))


def put(value: Any, place: tuple[Any, ...], odd: object) -> Any:
    """A copy with another value in a place."""
    if not place:
        return odd
    copy = value.copy()
    copy[place[0]] = put(value[place[0]], place[1:], odd)
    return copy


@pytest.mark.parametrize("step", [20, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", ["run.json", "card of a store", "comparison.json"])
def test_edits_of_records(reader: str, step: int, whole: Path, tmp_path: Path) -> None:
    """Any value without a hash replaced by any other gives a row, a note or a sentence."""
    folder = tmp_path / "given"
    shutil.copytree(whole, folder)
    file = READERS[reader].file(folder)
    fields = json.loads(file.read_text())
    for name in ("sha256", "files", "test_labels_sha256"):
        if reader == "run.json":
            del fields[name]
    edits = [(place, odd) for place in places(fields) for odd in ODD]
    for place, odd in edits[::step]:
        file.write_text(json.dumps(put(fields, place, odd)))
        with contextlib.suppress(FittingroomError):
            board = leaderboard(find_store(folder / "runs"))
            assert "\x1b" not in board.text(wide=True) + summary(board)
            board.to_json()
