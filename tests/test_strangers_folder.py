"""What an untrusted folder can start when commands run in it: nothing.

It holds Python code, settings of libraries and files for other programs under names that are
looked up. An audit hook in every process reports what is executed, loaded and started.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fittingroom.data.dataset import Dataset

#: Names that Python, its libraries or ours look for.
MODULES = (
    *("fittingroom", "numpy", "psutil", "queue", "sklearn", "torch", "typing", "rich", "numba"),
    *("sitecustomize", "usercustomize", "optuna", "ray", "matplotlib", "PIL", "pydantic", "evil"),
)
EVIL = "open({path!r} + '-' + __name__, 'w').close()\n"
#: Runs in every process before anything else; it reports to `EVENTS`.
HOOK = """
import json, os, sys

def hear(event, arguments, told=os.environ["EVENTS"], folder=os.environ["FOLDER"]):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.startfile"):
        what = [str(argument)[:500] for argument in arguments]
    elif event == "exec" and getattr(arguments[0], "co_filename", "").startswith(folder):
        what = [arguments[0].co_filename]
    elif event in ("ctypes.dlopen", "import"):
        what = [str(name) for name in arguments[:2] if str(name).startswith(folder)]
        if not what:
            return
    else:
        return
    file = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps([event, what, sys.argv]) + "\\n").encode())
    os.close(file)

sys.addaudithook(hear)
"""
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\nshowpage\n"


@pytest.fixture
def downloaded(tmp_path: Path, small: Dataset) -> Path:
    """A folder with data, and with everything else that could be run."""
    folder = tmp_path / "downloaded"
    small.write_idx(folder / "data")
    for name in MODULES:
        (folder / f"{name}.py").write_text(EVIL.format(path=str(tmp_path / "executed")))
        shutil.copy(folder / f"{name}.py", folder / "data")
    for split in ("train", "test"):
        part = getattr(small, split)
        for position in range(40):
            place = folder / "pictures" / split / str(part.labels[position])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.images[position]).save(place / f"{position:02}.png")
    (folder / "matplotlibrc").write_text("text.usetex: True\nbackend: module://evil\n")
    (folder / ".numba_config.yaml").write_text(
        f"cache_dir: {folder}\ncache_locator_classes: evil.Locator\n"
    )
    Image.fromarray(small.test.images[0]).save(folder / "photo.png")
    (folder / "latex").write_text("#!/bin/sh\ntouch executed\n")
    return folder


@pytest.fixture
def run_there(
    downloaded: Path, tmp_path: Path
) -> Callable[..., tuple[subprocess.CompletedProcess[str], list[Any]]]:
    """Run the installed command in that folder; returns what happened and what was started."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    told = tmp_path / "events"

    def run(*arguments: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
        told.write_text("")
        program = Path(sys.executable).parent / "fittingroom"
        done = subprocess.run(
            [str(program), *arguments],
            cwd=downloaded,
            env={
                **os.environ,
                "PYTHONPATH": str(hook),
                "EVENTS": str(told),
                "FOLDER": str(downloaded),
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return done, [json.loads(line) for line in told.read_text().splitlines()]

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("fit", "cnn-32", "-d", "data", "--set", "epochs=1"), marks=pytest.mark.slow),
        ("compare", "-d", "data", "--models", "knn", "--on", "local:2"),
        pytest.param(("data", "data", "--report", "data.html"), marks=pytest.mark.slow),
        pytest.param(
            ("tune", "knn", "-d", "data", "--set", "n_neighbors=1..3", "--trials", "2"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("compare", "-d", "data", "--models", "knn", "--on", "ray"), marks=pytest.mark.slow
        ),
    ],
    ids=lambda arguments: arguments[0] + ("-ray" if "ray" in arguments else ""),
)
def test_a_command_starts_nothing_of_its_folder(
    arguments: tuple[str, ...],
    run_there: Callable[..., tuple[subprocess.CompletedProcess[str], list[Any]]],
    tmp_path: Path,
) -> None:
    done, events = run_there(*arguments)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("executed*"))
    starts = ("subprocess.Popen", "os.posix_spawn")  # from Python 3.13 on the first does the second
    started = [what for event, what, _ in events if event in starts]
    others = [event for event in events if event[0] not in starts]
    assert not [event for event in others if event[0] in ("exec", "import", "ctypes.dlopen")]
    if "ray" not in arguments:
        assert others == []
        ours = "'-P', '-m', 'fittingroom.execution."
        # Besides them Python asks the system for its name, NumPy 2.0 for its processor, and builds
        # of torch for CUDA for its libraries, by a path that leads nowhere else.
        system = ("uname", "lscpu", "/sbin/ldconfig")
        for program, given, *_ in started:
            assert ours in given or program in system, started
        assert any(ours in given for _, given, *_ in started) == (arguments[0] != "data")


def test_a_file_for_another_program_is_not_opened_by_it(
    downloaded: Path,
    run_there: Callable[..., tuple[subprocess.CompletedProcess[str], list[Any]]],
) -> None:
    (downloaded / "pictures" / "train" / "1" / "00.png").write_bytes(POSTSCRIPT)
    done, events = run_there("data", "pictures")
    assert done.returncode == 1
    assert "00.png isn't a PNG, JPEG, WebP, BMP, GIF, PPM or TIFF picture" in done.stderr
    assert events == []


@pytest.mark.slow
def test_a_photo_for_another_program_is_not_opened_by_it(
    downloaded: Path,
    run_there: Callable[..., tuple[subprocess.CompletedProcess[str], list[Any]]],
) -> None:
    (downloaded / "photo.png").write_bytes(POSTSCRIPT)
    assert run_there("fit", "knn", "-d", "data")[0].returncode == 0
    model = next(downloaded.glob("runs/*/knn/*"))
    done, events = run_there("predict", str(model), "photo.png")
    assert done.returncode == 1
    assert "photo.png isn't a PNG, JPEG or WebP picture" in done.stderr
    assert events == []
