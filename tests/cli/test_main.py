from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import fittingroom
from fittingroom.cli.main import app, main
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

Cli = Callable[..., subprocess.CompletedProcess[str]]
SMALL = Path(__file__).parents[1] / "data" / "fashion-mnist-small"


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    """The refusal, which must be a single line without a traceback."""
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert "Traceback" not in result.stderr
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_help_answers_at_once(run_cli: Cli) -> None:
    seconds = []
    for _ in range(3):  # the best of three, as other tests may keep the cores busy
        start = time.monotonic()
        result = run_cli("--help")
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 2
    assert result.returncode == 0
    for command in ("data", "models", "fit", "compare", "report", "add"):
        assert command in result.stdout


#: What takes long to import.
HEAVY = {"matplotlib", "numba", "onnx", "optuna", "scipy", "scipy.stats", "skimage", "skops"}
HEAVY |= {"sklearn", "torch"}


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ("--help", set()),
        ("predict --help", set()),
        ("models", set()),
        ("data {small}", set()),
        ("runs --runs {runs}", set()),
        ("report {runs} --out {out} --format md", {"scipy"}),
    ],
)
def test_a_command_imports_only_what_it_needs(
    run_cli: Cli,
    arguments: str,
    needed: set[str],
    small_folder: Path,
    compared_runs: Path,
    tmp_path: Path,
) -> None:
    folders = {"small": small_folder, "runs": compared_runs, "out": tmp_path}
    words = [word.format(**folders) for word in arguments.split()]
    result = run_cli(*words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0, result.stderr[-1000:]
    imported = set(re.findall(r"^import time:.* ([\w.]+)$", result.stderr, re.MULTILINE))
    assert "fittingroom.cli.help" in imported
    assert imported & HEAVY == needed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "swfit"], 2, "unknown model 'swfit'; did you mean swift or swift-9"),
        (["compare", "--models", "knn,svm-rfb"], 2, "did you mean svm-rbf"),
        (["compare", "--suite", "quik"], 2, "did you mean quick?"),
        (["compare", "--seeds", "0"], 2, "--seeds is 0; at least 1 is needed."),
        (["compare", "--models", "../x"], 2, "unknown model '../x'"),
        (["compare", "--models", ","], 2, "name at least one"),
        (["compare", "--models", "knn", "--suite", "quick"], 2, "not both"),
        (["compare", "--suite", "zalndo"], 2, "did you mean zalando?"),
        (
            ["compare", "--suite", "zalando", "--models", "zalando-kn"],
            2,
            "did you mean zalando-knn",
        ),
        (["compare", "--time-limit", "soon"], 2, "'soon' isn't a duration"),
        (["compare", "--memory-limit", "8X"], 2, "'8X' isn't a size"),
        (["compare", "--keep-models", "some"], 2, "--keep-models takes all, best or none"),
        (["compare", "--dataset", "fashion-minst"], 2, "did you mean fashion-mnist?"),
        (["data", "fashion-minst"], 2, "did you mean fashion-mnist?"),
        (["data", "./absent"], 1, "doesn't exist"),
        (["fit", "knn", "--set", "epochs"], 2, "--set takes NAME=VALUE"),
        (["data", str(SMALL), "--report", "absent/x.html"], 2, "--report takes a file in an"),
        (["report", "absent"], 1, "no saved runs in absent"),
        (["add", "../x", "p.npz", "--dataset", str(SMALL)], 2, "can't be named '../x'"),
        (["add", "x", "absent.npz", "--dataset", str(SMALL)], 1, "absent.npz doesn't exist"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["fittingroom", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # pytest's own handlers stay
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    result = subprocess.CompletedProcess(arguments, 0, printed.out, printed.err)
    assert message in one_sentence(result)
    assert ended.value.code == code


def test_an_unknown_parameter_is_named(small_folder: Path, run_cli: Cli) -> None:
    result = run_cli("fit", "knn", "--dataset", str(small_folder), "--set", "epochs=3")
    assert result.returncode == 2
    assert "epochs" in one_sentence(result)


@pytest.mark.parametrize("arguments", [["comapre"], ["compare", "--sedes", "3"], ["fit"]])
def test_wrong_usage_is_exit_code_2(run_cli: Cli, arguments: list[str]) -> None:
    result = run_cli(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_truncated_file_is_refused(small_folder: Path, run_cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(small_folder, folder)
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-1000])
    result = run_cli("compare", "--dataset", str(folder))
    assert "train-images-idx3-ubyte.gz" in one_sentence(result)
    assert result.returncode == 1


def test_a_file_in_place_of_the_runs_folder_is_refused(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("in the way")
    result = run_cli("fit", "knn", "--dataset", str(small_folder))
    assert "can't be written" in one_sentence(result)
    assert result.returncode == 1
    assert (tmp_path / "runs").read_text() == "in the way"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_loses_nothing(small_folder: Path, run_cli: Cli, tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: both fail while writing."""
    import resource

    without_page = ("--dataset", str(small_folder), "--format", "json")
    first = run_cli("compare", "--models", "knn", *without_page)
    assert first.returncode == 0, first.stderr
    (board,) = tmp_path.glob("runs/*/leaderboard.json")
    before = board.read_text()

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    result = run_cli(
        "compare", "--models", "knn,logistic", *without_page, "--json", preexec_fn=limit_files
    )
    assert "Traceback" not in result.stderr
    assert result.returncode == 1
    assert json.loads(before)["rows"][0]["status"] == "ok"
    again = run_cli("compare", "--models", "knn", *without_page)
    assert "already saved" in again.stderr
    assert board.read_text() == before


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_closed_pipe_is_not_an_error(reader: str) -> None:
    command = f"{sys.executable} -m fittingroom.cli.main models | {reader}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.startswith("model") == (reader != "true")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_child_that_has_gone_does_not_end_the_command() -> None:
    """What is written to it then is an error that is handled, and no signal (SIGPIPE)."""
    program = """
import os, subprocess, sys
from fittingroom.cli.main import main
sys.argv[1:] = ["--version"]
try:
    main()
except SystemExit:
    pass
child = subprocess.Popen(["true"], stdin=subprocess.PIPE)
child.wait()
try:
    os.write(child.stdin.fileno(), b"a job")
except BrokenPipeError:
    print("handled")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("handled\n"), done.returncode


def test_version(run_cli: Cli) -> None:
    assert run_cli("--version").stdout.strip() == version("fittingroom")


FEW_IMAGES = {
    "one test image": ({0: 12, 1: 12}, {0: 1}),
    "the fewest training images": ({0: 10, 1: 10, 2: 10}, {0: 8, 1: 8, 2: 1}),
    "classes missing": ({0: 20, 1: 20}, {0: 9, 2: 9, 3: 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEW_IMAGES)
def test_every_command_takes_few_images(
    kind: str,
    some_of: Callable[..., Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without warnings, which are errors here, and without messages of other libraries."""
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    train, test = FEW_IMAGES[kind]
    data = some_of(train, test)
    data.write_idx(Path("some"))
    store = open_store("runs", data)
    kept = fit(spec_of(data, "knn"), data, store).folder
    fit(spec_of(data, "random-forest"), data, store, keep_model=False)
    fit(spec_of(data, "logistic", folds=3), data, store)
    np.savez("theirs.npz", labels=np.ones(len(data.test), int))
    Image.fromarray(data.test.images[0]).save("picture.png")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    json.loads(run("data", "some", "--json", "--report", "data.html"))
    run("data", "some", "--tsne", "--report", "data.html")
    json.loads(run("add", "theirs", "theirs.npz", "-d", "some", "--json"))
    table = run("report", "--format", "html,md,csv,json")
    assert [line.split()[1] for line in table.splitlines()[3:6]].count("theirs") == 1
    compare = ("compare", "-m", "knn,random-forest", "--seeds", "1", "-d", "some")
    assert len(json.loads(run(*compare, "--format", "html,md,csv,json", "--json"))["rows"]) == 3
    json.loads(run("predict", str(kept), "picture.png", "--json", "--show", "sheet.png"))
    assert "labels equal" in run("export", str(kept), "--out", "knn.onnx")
    assert capfd.readouterr().err == ""


def test_the_package_runs_as_a_module_and_knows_its_version() -> None:
    command = [sys.executable, "-m", "fittingroom", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == version("fittingroom") == fittingroom.__version__


def test_the_folder_of_runs_may_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(*arguments: str) -> str:
        with pytest.raises(StoreError) as refused:
            CliRunner().invoke(app, arguments, catch_exceptions=False)
        return str(refused.value)

    monkeypatch.setenv("FITTINGROOM_RUNS", "elsewhere")
    for command in (["report"], ["runs"], ["runs", "knn"], ["predict", "knn", "photo.png"]):
        assert "no saved runs in elsewhere" in refusal(*command)
    assert "no saved runs in here" in refusal("report", "here")
    assert "no saved runs in here" in refusal("runs", "--runs", "here")
