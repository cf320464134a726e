"""What the benchmarks do that takes no time."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import growth
import large
import load
import matplotlib
import memory
import numpy as np
import pictures
import pytest
import recording
import speed_page
import whole
from recording import Frame
from speed import spread

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.execution.job import Limits
from fittingroom.models.catalog import MODELS, row_of
from fittingroom.runs.attempt import Attempt
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
PRINTS = (
    "import time; print('\\033[31mred\\033[0m and \\033[1mbold\\033[0m <&>', flush=True); "
    "time.sleep(0.5); print('\\033[1A\\033[2Kafterwards')"
)


@pytest.mark.parametrize(
    ("limit", "kept"), [pytest.param("50M", True, marks=pytest.mark.slow), ("much", False)]
)
def test_what_a_command_printed_is_kept_though_a_model_failed(
    tmp_path: Path, limit: str, kept: bool, small_folder: Path
) -> None:
    data = str(small_folder)
    command = ["compare", "--models", "knn", "--dataset", data, "--memory-limit", limit]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "printed.py"), str(tmp_path / "out"), *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == kept, done.stderr
    if kept:
        found = json.loads((tmp_path / "out").read_text())
        assert found["exit_code"] == 1
        assert found["printed"]
        assert str(tmp_path) not in json.dumps(found["printed"])


def test_the_clients_of_the_servers_count_what_was_answered() -> None:
    """Answers in parts, refusals, and connections that end."""
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\nno",
        b"",
    ]
    served: list[int] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while connection.recv(1 << 16):
                    answer = answers[len(served) % len(answers)]
                    served.append(len(answer))
                    if not answer:
                        break
                    connection.sendall(answer[:10])
                    time.sleep(0.001)
                    connection.sendall(answer[10:])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        measured = load.put_load(listening.getsockname()[1], b"GET / HTTP/1.1\r\n\r\n", 1, 0.5)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    counts = {status: len(each) for status, each in measured.latencies.items()}
    assert counts == {200: served.count(len(answers[0])), 503: served.count(len(answers[1]))}
    assert measured.lost == served.count(0)
    assert counts[200] >= 1
    assert measured.percentile(50) >= 1
    assert measured.per_second == pytest.approx(counts[200] / measured.seconds)


def shown(frame: Frame) -> list[str]:
    lines = ["".join(text for text, _, _ in line) for line in frame.lines]
    return [line for line in lines if line]


def test_a_recording_has_what_the_terminal_showed_and_when() -> None:
    frames = list(recording.record(["python", "-c", PRINTS]))
    typed = shown(frames[0])
    assert typed[0].startswith("$ python -c ")
    before = next(frame for frame in frames if shown(frame)[-1] == "red and bold <&>")
    assert shown(frames[-1]) == [*typed, "afterwards"]
    assert frames[-1].time - before.time > 0.4
    pieces = before.lines[len(typed)]
    assert [(text, bold) for text, _, bold in pieces] == [
        ("red", False), (" and ", False), ("bold", True), (" <&>", False)
    ]  # fmt: skip
    assert pieces[0][1] == recording.COLORS["red"] != pieces[1][1] == recording.INK


def test_a_command_that_fails_isnt_recorded() -> None:
    with pytest.raises(SystemExit, match=r"ended with 3:\n.*\nwhy"):
        list(recording.record(["python", "-c", "print('why'); raise SystemExit(3)"]))


def test_a_long_recording_is_played_in_as_many_seconds_as_all_others() -> None:
    lines = [((f"{i}", recording.INK, False),) for i in range(1000)]
    frames = [Frame(0.4 * i, (line,)) for i, line in enumerate(lines)]
    kept = recording.thinned(frames)
    assert len(kept) <= recording.PLAYED * recording.RATE + 1
    assert kept[-1].lines == frames[-1].lines
    assert kept[-1].time == pytest.approx(recording.PLAYED, abs=0.2)
    short = recording.thinned(frames[:10])
    assert short[-1].time == pytest.approx(frames[9].time, abs=1 / recording.RATE)


def test_a_recording_is_a_film_whose_pictures_stand_side_by_side() -> None:
    line = (("same <&>", recording.INK, False),)
    frames = [Frame(0, (line,)), Frame(1, (line, line)), Frame(2, (line, (), line))]
    drawn = ElementTree.fromstring(recording.draw(frames, "a & b"))
    assert [text.text for text in drawn.iter(f"{SVG}text")] == ["a & b", "same <&>"]  # drawn once
    width, step = int(drawn.attrib["width"]), recording.HEIGHT
    places = [(int(use.attrib["x"]), int(use.attrib["y"])) for use in drawn.iter(f"{SVG}use")]
    assert places == [(0, 0), (width, 0), (width, step), (2 * width, 0), (2 * width, 2 * step)]
    style = drawn.findtext(f"{SVG}style") or ""
    assert f"12.500%{{transform:translateX(-{width}px)}}" in style  # 1 s of 2 + 6


@pytest.mark.skipif(
    not matplotlib.__version__.startswith("3.11."), reason="other versions draw it otherwise"
)
def test_the_picture_of_the_claims_is_of_those_that_were_measured() -> None:
    claims = json.loads((ROOT / "benchmarks" / "results" / "claims.json").read_text("utf8"))[
        "claims"
    ]
    drawn = pictures.svg(pictures.draw_claims(claims))
    assert (ROOT / "docs" / "pictures" / "claims.svg").read_bytes() == drawn
    most = pictures.accuracies(claims)[0]
    assert most["id"] == "s2-ann1"  # the README says so
    assert f"{most['claimed']:.1%} against {most['honest']['accuracy']:.1%}" in (
        ROOT / "README.md"
    ).read_text("utf8")


def test_a_whole_command_is_timed_from_outside() -> None:
    seconds, printed = whole.timed([sys.executable, "-c", "import time; time.sleep(0.2); print(1)"])
    assert 0.2 < seconds < 20
    assert printed == "1\n"
    with pytest.raises(SystemExit, match=r"ended with 3:\nwhy"):
        whole.timed([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"])


def test_every_row_of_whole_commands_can_be_told_apart_and_shown() -> None:
    published = {name for name, row in MODELS.items() if row.source and row.family == "network"}
    assert {name for name in whole.ROWS if whole.ROWS[name] is whole.network_turn} == published
    assert whole.ROWS.keys() - published == speed_page.COMMANDS.keys()
    sitting = whole.Sitting(Path("files"), Path("runs-whole"), ("published",))
    for name in whole.COMMANDS:
        typed = whole.words(name, sitting)[len(whole.FITTINGROOM) :]
        shown = speed_page.COMMANDS[name].split()
        assert typed[: len(shown) - shown.count("photo.jpg")] == [
            word for word in shown if word != "photo.jpg"
        ]
    assert " ".join(whole.QUICK) == speed_page.COMMANDS["compare"]


def test_keras_is_told_the_recipe_of_the_catalogue() -> None:
    epochs = whole.epochs_within("cnn-16-32-64-128", None)
    job = whole.keras_job("cnn-16-32-64-128", "published", 3, epochs)
    assert (job["epochs"], job["batch_size"], job["seed"]) == (500, 128, 3)
    assert (job["patience"], job["watch"], job["restore"]) == (50, "loss", True)
    assert whole.keras_job("mlp-256-256", "jit", 0, 20)["keep"] == "best-accuracy"
    dataset = load_dataset(ROOT / "tests" / "data" / "fashion-mnist-small")
    split, share = dataset.validation_split(), len(dataset.train) / 60_000
    assert len(split.validation) == whole.HELD_OUT * share
    assert len(split.selection) == whole.WATCHED * share


def test_only_as_many_epochs_are_measured_as_there_is_time_for() -> None:
    assert whole.epochs_within("cnn-32", 1e6) == 10
    assert whole.epochs_within("cnn-32", row_of("cnn-32").expected_seconds() / 2) == 5
    assert whole.epochs_within("cnn-16-32-64-128", 1) == 1


def test_whole_commands_are_compared_within_their_turns() -> None:
    def turn(ours: float, published: float, half: float) -> whole.Turn:
        seconds = {"ours": ours, "published": published, "mixed_bfloat16": half}
        return {name: {"seconds": s, "test_accuracy": 0.9} for name, s in seconds.items()}

    turns = [turn(10, 30, 20), turn(20, 50, 60)]
    turns[0]["ours"] |= {"epochs": 5, "recipe_epochs": 10}
    found = whole.summary(turns)
    assert found["as_published"] == spread([3, 2.5])
    assert found["at_its_best"] == spread([2, 2.5])
    assert found["seconds"]["ours"] == spread([10, 20])
    rows = {"cnn-32": found, "knn": {"each_turn": turns}, "help": {"each_turn": turns}}
    assert whole.test_reads(rows) == 6 + 1
    jit = {**turn(10, 30, 20), "jit": {"seconds": 5, "test_accuracy": 0.9}}
    assert whole.summary([jit])["at_its_best"]["median"] == 0.5
    assert whole.summary([jit, turns[0]])["at_its_best"] == spread([2, 2])  # not all have jit

    assert speed_page.times_of(spread([1.01, 1.02])) == "1 s"
    compared = [{"new": {"seconds": 90.0}, "warm": {"seconds": 60.0}}]
    assert whole.summary(compared)["compiling_seconds"]["median"] == 30
    table = speed_page.whole_commands_table({"compare": whole.summary(compared)})
    assert table[2:] == [
        "| `fittingroom compare --suite quick --seeds 1`, newly installed | 1 min 30 s, one turn | "
        "compiling: 30 s, one turn |",
        "| `fittingroom compare --suite quick --seeds 1` | 1 min, one turn |  |",
    ]
    assert speed_page.whole_fits_table({"cnn-32": found})[2:] == [
        "| `cnn-32` | 5 of 10 | 15 s (10 s to 20 s) | 2.75 (2.50 to 3.00) | 2.25 (2.00 to 2.50) | "
        "0.9000 |",
        "| geometric mean |  |  | **2.75** | **2.25** |  |",
    ]


def test_models_that_take_more_memory_than_scikit_learn_are_named() -> None:
    def row(ours: float, stock: float | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {"peak_memory_bytes": ours, "epochs": None}
        return found if stock is None else {**found, "scikit_learn": {"peak_memory_bytes": stock}}

    rows = {"a": row(1.4e9), "b": row(1.6e9), "c": row(1.6e9, 1.5e9), "d": row(1.6e9, 1.7e9)}
    assert memory.unexplained(rows) == ["b", "c"]
    table = speed_page.memory_table({**rows, "e": {**row(2e9), "epochs": 1}})
    assert table[2] == "| `e` | 2.00 GB |  | one |"
    assert table[-1] == "| `a` | 1.40 GB |  | all |"


def test_growth_is_the_slope_of_a_power_law() -> None:
    assert growth.slope([10, 100, 1000], [3.0, 300.0, 30000.0]) == 2

    def took(seconds: float, peak: int) -> dict[str, Any]:
        return {"status": "ok", "seconds": seconds, "peak_memory_bytes": peak}

    stopped = {"status": "timeout", "reason": "took longer than 1 s"}
    sizes = {"6000000": stopped, "60000": took(9, 10**9), "6000": took(1, 10**8)}
    found = growth.summary({**sizes, "600000": took(900, 10**9 + 540_000 * 784 * 2)})
    assert [*found["sizes"]] == ["6000", "60000", "600000", "6000000"]
    assert found["time_exponent"] == pytest.approx(1.48, abs=0.01)
    assert found["time_exponent_of_the_two_largest"] == 2
    assert found["bytes_per_added_pixel"] == 2
    table = speed_page.growth_table({"svm-rbf": found, "knn": growth.summary({"6000": stopped})})
    assert table[2].startswith("| `svm-rbf` | 1 s, 0.10 GB | 9 s, 1.00 GB | 15 min, 1.85 GB | stop")
    assert table[2].endswith(f" | n^2.00 | n^{found['memory_exponent_of_the_two_largest']:.2f} |")
    assert table[3] == "| `knn` | stopped: too long |  |  |  |  |  |"


def test_a_fit_that_can_not_have_enough_memory_is_a_figure_too(small: Dataset) -> None:
    found = growth.measure("svm-rbf", small, Limits(memory=1_000_000))
    assert found["status"] == "not started"
    assert found["reason"].startswith("2,000 training images take it at least")


def test_growth_is_measured_of_a_fit_that_is_not_tested(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = []

    @contextmanager
    def fits_here(dataset: Dataset, store: Store, **options: Any) -> Iterator[Any]:
        assert not options["keep_models"]

        def attempts(asked: list[RunSpec], watcher: Any) -> Iterator[Attempt]:
            specs.extend(asked)
            yield Attempt(spec=asked[0], status="ok", run=fit(asked[0], dataset, store))

        yield SimpleNamespace(attempts=attempts)

    monkeypatch.setattr(growth, "open_bench", fits_here)
    found = growth.measure("mlp-10-10", small, Limits())
    assert found["status"] == "ok"
    assert 0 < found["fit_seconds"] <= found["seconds"]
    assert found["peak_memory_bytes"] > 10**7
    (spec,) = specs
    assert (spec.settings, spec.reads_test) == ({"epochs": 1}, False)
    ended = Attempt(spec=spec, status="timeout", reason="took longer than 1 s")
    assert growth.figures(ended) == {"status": "timeout", "reason": "took longer than 1 s"}


def test_shifted_copies_are_as_many_as_wanted(small: Dataset, tmp_path: Path) -> None:
    assert sum(count for _, count in large.shares(4_500, 2_000)) == 4_500
    large.make_set(small, tmp_path / "set", 4_500)
    read = load_dataset(tmp_path / "set")
    assert len(read.train) == 4_500
    np.testing.assert_array_equal(read.train.images[:2_000], small.train.images)
    (down, right), count = [*large.shares(4_500, 2_000)][2]
    assert count == 500
    moved = large.shifted(small.train.images, down, right)[:500]
    np.testing.assert_array_equal(read.train.images[4_000:], moved)
    np.testing.assert_array_equal(read.train.labels[2_000:4_000], small.train.labels)
    np.testing.assert_array_equal(read.test.images, small.test.images)
