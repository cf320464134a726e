"""What does the server do under ten times the load that it can take, and of strangers?

    python benchmarks/serving_endurance.py --out benchmarks/results/serving-endurance.json

The server runs as a process of its own, with one network. In turn: clients, first as few as it can
answer at once and then so many that ten times the images wait that may, who wait where they are
refused as they are told, or ask again at once (heedless); connections that send a byte a second;
malformed requests; and restarts under load, at each of which what was accepted must be answered.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import record
from load import Load, put_load

from fittingroom.data.sources import load_dataset
from fittingroom.serving.batching import WAITING
from serving import SMALL, Model, figures, free_port, make_model, ours, request_of

BATCH = 32
#: So many clients have ten times the images under way that may wait.
MANY = 10 * WAITING // BATCH


def overload(port: int, process: psutil.Process, request: bytes, seconds: float) -> dict[str, Any]:
    """Latencies and memory without refusals, and at ten times what may wait."""
    calm = put_load(port, request, 8, 10)
    memory = [process.memory_info().rss]
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(1):
            memory.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    load = put_load(port, request, MANY, seconds)
    heedless = put_load(port, request, MANY, seconds / 4, obey_pauses=False)
    stopped.set()
    watcher.join()
    time.sleep(2)  # until the server has noticed that the clients have gone
    middle = len(memory) // 2
    return {
        "calm": figures(calm),
        "overloaded": {**figures(load), "clients": MANY, "refused_ms": refusals(load)},
        "heedless": {**figures(heedless), "clients": MANY, "refused_ms": refusals(heedless)},
        "p99_times_calm": round(load.percentile(99) / calm.percentile(99), 2),
        "mb": {
            "before": memory[0] >> 20,
            "first_half": max(memory[1:middle]) >> 20,
            "second_half": max(memory[middle:]) >> 20,
        },
    }


def refusals(load: Load) -> dict[str, float]:
    return {f"p{share}": round(load.percentile(share, 503), 2) for share in (50, 99)}


def slow(port: int, connections: int, seconds: float) -> dict[str, Any]:
    """Connections that send a byte a second, and whether others are answered meanwhile."""
    head = b"POST /v1/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    begun, closed = time.monotonic(), list[float]()
    for each in held:
        each.setblocking(False)
    live, sent = list[float](), 0
    while held and time.monotonic() - begun < seconds:
        for each in [*held]:
            with contextlib.suppress(BlockingIOError):
                try:
                    each.send(head[sent : sent + 1] or b"a")
                    if each.recv(1000):
                        continue
                except ConnectionError:
                    pass
                held.remove(each)
                each.close()
                closed.append(time.monotonic() - begun)
        sent += 1
        asked = time.monotonic()
        with contextlib.closing(socket.create_connection(("127.0.0.1", port), 10)) as other:
            other.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(1000).startswith(b"HTTP/1.1 200")
        live.append(time.monotonic() - asked)
        time.sleep(1)
    return {
        "connections": connections,
        "closed": len(closed),
        "last_closed_s": round(max(closed, default=0.0), 1),
        "others_answered_ms": round(1000 * max(live), 1),
    }


def malformed(port: int, good: bytes, n: int) -> dict[str, Any]:
    """Requests in which some bytes were changed, cut off or put in; what was answered."""
    draw, statuses = random.Random(0), Counter[str]()
    for _ in range(n):
        changed = bytearray(good)
        for _ in range(draw.randint(1, 5)):
            place = draw.randrange(len(changed))
            junk = draw.randbytes(draw.randint(0, 4))
            changed[place : place + draw.choice((0, 1, 20))] = junk
        with contextlib.closing(socket.create_connection(("127.0.0.1", port), 30)) as connection:
            answer = b""
            with contextlib.suppress(ConnectionError):
                connection.sendall(changed + bytes(1000))  # so that none waits for its end
                answer = connection.recv(1000)
        statuses[answer[9:12].decode("latin-1") or "none"] += 1
    server_errors = sum(n for status, n in statuses.items() if status[0] == "5")
    return {"sent": n, "statuses": dict(statuses), "5xx": server_errors - statuses["503"]}


def restarts(model: Model, request: bytes, times: int) -> dict[str, Any]:
    """Start the server, load it, tell it to stop: accepted requests must be answered."""
    answered, lost = 0, 0
    for _ in range(times):
        port = free_port()
        with ours(model, port) as process:
            results: list[tuple[int, int]] = []
            clients = [
                threading.Thread(target=until_refused, args=(port, request, results))
                for _ in range(8)
            ]
            for client in clients:
                client.start()
            time.sleep(0.5)
            os.kill(process, signal.SIGTERM)
            for client in clients:
                client.join()
        answered += sum(done for done, _ in results)
        lost += sum(missing for _, missing in results)
    return {"restarts": times, "answered": answered, "lost": lost}


def until_refused(port: int, request: bytes, results: list[tuple[int, int]]) -> None:
    """Ask on one connection each; a request counts as accepted once the server read some of it."""
    done = lost = 0
    while True:
        connection = socket.socket()
        connection.settimeout(30)
        try:
            connection.connect(("127.0.0.1", port))
        except OSError:
            break
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(request)
            answer = connection.recv(1 << 16)
            if answer.startswith(b"HTTP/1.1 200"):
                done += 1
                continue
        lost += 1
    results.append((done, lost))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cnn-32", help="a network of the catalogue")
    parser.add_argument("--seconds", type=float, default=120, help="of the overload")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    images = np.array(load_dataset(SMALL).train.images[:BATCH])
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(options.model, Path(folder))
        path = f"/v2/models/{model.name}/infer"
        request = request_of(path, images, binary=True)
        single = request_of(path, images[:1], binary=False)
        port = free_port()
        with ours(model, port) as process:
            steps: dict[str, Callable[[], dict[str, Any]]] = {
                "overload": lambda: overload(
                    port, psutil.Process(process), request, options.seconds
                ),
                "slow": lambda: slow(port, options.connections, 30),
                "malformed": lambda: malformed(port, single, options.malformed),
            }
            for name, step in steps.items():
                found[name] = step()
                print(name, found[name], file=sys.stderr)
        found["restarts"] = restarts(model, single, options.restarts)
    record.write(options.out, found)


if __name__ == "__main__":
    main()
