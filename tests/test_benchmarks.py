"""What the benchmarks do that takes no time."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import load
import matplotlib
import pictures
import pytest
import recording
from recording import Frame

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
