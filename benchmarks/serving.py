"""How many requests does the server answer, and how soon, beside MLServer and LitServe?

    make .venv-serving/.installed
    python benchmarks/serving.py --out benchmarks/results/serving.json

A network is fitted on the small data of the tests, since it is the server that is measured, and
converted to one ONNX file that all servers run by onnxruntime. All listen on this machine, on the
same cores as their clients, and take turns, several times; ratios are those within a turn. Requests
are JSON by the Open Inference Protocol; `ours-binary` has images and probabilities as bytes. Each
server of others is started in several ways, and the one that answers most at eight clients goes on.
`bare` is onnxruntime in a loop, without any server.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import record
from load import Load, put_load
from speed import spread

from fittingroom.bundles.bundle import load
from fittingroom.bundles.onnx import write_onnx
from fittingroom.bundles.parity import onnx_predictor
from fittingroom.data.sources import load_dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

PEERS = Path(__file__).parent / "peers"
PYTHON = record.ROOT / ".venv-serving" / "bin" / "python"
SMALL = record.ROOT / "tests" / "data" / "fashion-mnist-small"
CLIENTS, BATCHES = (1, 8, 64), (1, 32)
#: Batch, seconds to wait for others, and processes that compute.
WAYS = {
    "litserve": {"one by one": (1, 0, 1), "batches": (64, 0.002, 1), "two workers": (1, 0, 2)},
    "mlserver": {"one by one": (0, 0, 0), "batches": (64, 0.002, 0), "a worker": (0, 0, 1)},
}


@dataclass(frozen=True)
class Model:
    """A saved model, and its graph."""

    name: str
    bundle: Path
    graph: Path


def make_model(name: str, folder: Path) -> Model:
    small = load_dataset(SMALL)
    run = fit(spec_of(small, name, settings={"epochs": 1}), small, open_store(folder, small))
    bundle = run.folder / "model"
    return Model(name, bundle, write_onnx(load(bundle), folder / "model.onnx"))


def request_of(path: str, images: np.ndarray, *, binary: bool) -> bytes:
    """A whole request for the probabilities of images (n, height, width)."""
    tensor: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [*images.shape]}
    asked: dict[str, Any] = {"outputs": [{"name": "probabilities"}]}
    if binary:
        tensor["parameters"] = {"binary_data_size": images.nbytes}
        asked["parameters"] = {"binary_data_output": True}
    else:
        tensor["data"] = images.ravel().tolist()
    text = json.dumps({"inputs": [tensor], **asked}).encode()
    body = text + (images.tobytes() if binary else b"")
    kind = "application/octet-stream" if binary else "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    if binary:
        head += f"Inference-Header-Content-Length: {len(text)}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def running(command: Sequence[Any], live: str, port: int, **more: str) -> Iterator[int]:
    """A server's process, once it is live; gives its process ID."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*map(str, command)],
            env={**os.environ, **more},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 120
            while not _answers(f"http://localhost:{port}{live}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"{command[0]} doesn't answer:\n{log.read()[-3000:]}")
                time.sleep(0.1)
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def ours(model: Model, port: int) -> Any:
    command = [sys.executable, "-m", "fittingroom", "serve", model.bundle, "--port", port]
    return running(command, "/v2/health/ready", port)


def litserve(model: Model, port: int, way: tuple[float, ...]) -> Any:
    command = [PYTHON, PEERS / "litserve_app.py", model.graph, port, *way]
    return running(command, "/health", port)


@contextmanager
def mlserver(model: Model, port: int, way: tuple[float, ...]) -> Iterator[int]:
    batch, seconds, workers = way
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(PEERS / "mlserver" / "onnx_runtime.py", folder)
        settings = {"debug": False, "http_port": port, "grpc_port": free_port()}
        settings |= {"metrics_port": free_port(), "parallel_workers": int(workers)}
        (folder / "settings.json").write_text(json.dumps({**settings, "host": "127.0.0.1"}))
        of_model: dict[str, Any] = {
            "name": "classifier",
            "implementation": "onnx_runtime.Classifier",
        }
        of_model |= {"max_batch_size": int(batch), "max_batch_time": seconds}
        of_model |= {"parameters": {"uri": str(model.graph)}}
        (folder / "model-settings.json").write_text(json.dumps(of_model))
        command = [PYTHON.with_name("mlserver"), "start", folder]
        with running(command, "/v2/health/ready", port, PYTHONPATH=name) as process:
            yield process


STARTERS = {"litserve": litserve, "mlserver": mlserver}


def best_ways(model: Model, request: bytes, seconds: float) -> dict[str, dict[str, float]]:
    """Requests a second at eight clients, of each way to start each server of others."""
    found: dict[str, dict[str, float]] = {}
    for name, ways in WAYS.items():
        found[name] = {}
        for words, way in ways.items():
            port = free_port()
            with STARTERS[name](model, port, way):
                put_load(port, request, 8, 1)
                measured = figures(put_load(port, request, 8, seconds))
            found[name][words] = measured["per_second"]
    return found


def figures(measured: Load) -> dict[str, float]:
    refused = sum(len(each) for status, each in measured.latencies.items() if status != 200)
    wrong = set(measured.latencies) - {200, 503}
    assert not wrong, f"answered with {wrong}"
    return {
        "per_second": round(measured.per_second, 1),
        "p50_ms": round(measured.percentile(50), 3),
        "p99_ms": round(measured.percentile(99), 3),
        "refused": refused,
        "lost": measured.lost,
    }


def turn(
    targets: Mapping[str, tuple[int, Mapping[int, bytes]]], seconds: float
) -> dict[str, dict[str, dict[str, float]]]:
    """One turn: by clients and batch, what each server did."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for clients in CLIENTS:
        for batch in BATCHES:
            cell = found[f"{clients} clients, batches of {batch}"] = {}
            for name, (port, requests) in targets.items():
                cell[name] = figures(put_load(port, requests[batch], clients, seconds))
                print(clients, batch, name, cell[name], file=sys.stderr)
    return found


def summary(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of the turns, and how ours compares with the better of the others in each."""
    found: dict[str, Any] = {}
    for cell in turns[0]:
        of_cell = [each[cell] for each in turns]
        found[cell] = {
            name: {
                figure: statistics.median(each[name][figure] for each in of_cell)
                for figure in of_cell[0][name]
            }
            for name in of_cell[0]
        }
        times, tails = [], []
        for each in of_cell:
            better = max((each[name] for name in WAYS), key=lambda row: row["per_second"])
            times.append(each["ours"]["per_second"] / better["per_second"])
            tails.append(each["ours"]["p99_ms"] / min(each[name]["p99_ms"] for name in WAYS))
        found[cell]["times_as_many_as_the_better"] = spread(times)
        found[cell]["p99_over_the_lower"] = spread(tails)
    return found


def bare(model: Model, images: np.ndarray, seconds: float) -> dict[str, float]:
    """Milliseconds of one image, of 32 and of 64, by onnxruntime alone."""
    predict, found = onnx_predictor(model.graph, spinning=False), {}
    for batch in (1, 32, 64):
        taken = []
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            predict(images[:batch])
            taken.append(time.perf_counter() - begun)
        found[str(batch)] = round(1000 * statistics.median(taken), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cnn-32", help="a network of the catalogue")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    images = np.array(load_dataset(SMALL).train.images[:64])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        model = make_model(options.model, Path(folder))
        path = "/v2/models/{}/infer"
        ports = {name: free_port() for name in ("ours", *WAYS)}
        requests = {
            (name, binary): {
                batch: request_of(path.format(of_server), images[:batch], binary=binary)
                for batch in BATCHES
            }
            for name, of_server in (("ours", model.name), ("others", "classifier"))
            for binary in (False, True)
        }
        ways = best_ways(model, requests["others", False][1], options.seconds)
        chosen = {name: max(found, key=lambda way: found[way]) for name, found in ways.items()}
        servers.enter_context(ours(model, ports["ours"]))
        for name, way in chosen.items():
            servers.enter_context(STARTERS[name](model, ports[name], WAYS[name][way]))
        targets = {"ours": (ports["ours"], requests["ours", False])}
        targets |= {name: (ports[name], requests["others", False]) for name in WAYS}
        targets["ours-binary"] = (ports["ours"], requests["ours", True])
        for port, by_batch in targets.values():
            put_load(port, by_batch[1], 8, 1)
        turns = [turn(targets, options.seconds) for _ in range(options.rounds)]
        alone = bare(model, images, options.seconds)
    found = {"model": model.name, "rounds": options.rounds, "seconds": options.seconds}
    found |= {"ways": ways, "chosen": chosen, "bare_ms": alone, "cells": summary(turns)}
    record.write(options.out, found)


if __name__ == "__main__":
    main()
