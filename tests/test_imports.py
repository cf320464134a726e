"""What each command imports: the libraries that take tenths of a second are counted, not timed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fittingroom.kernels import capabilities

#: Libraries that take long to import.
HEAVY = {
    *("cv2", "jinja2", "matplotlib", "numba", "numpy", "onnx", "onnxruntime", "optuna", "PIL"),
    *("pydantic", "scipy", "skimage", "sklearn", "sklearnex", "skops", "starlette", "torch"),
}
PLAIN = {"numpy", "pydantic"}
CLASSICAL = {*PLAIN, "scipy", "sklearn"}
CODE = """
import atexit, pathlib, sys
from fittingroom.cli.main import main
out = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: out.write_text("\\n".join(name for name in sys.modules if "." not in name)))
main()
"""


def imported(folder: Path, *command: str) -> set[str]:
    """The heavy libraries that a command has imported at its end."""
    out = folder / "modules.txt"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(out), *command],
        cwd=folder,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(out.read_text().split())


@pytest.fixture(scope="module")
def folder(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a picture and a saved run of nearest neighbours."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "data").symlink_to(small_folder)
    (folder / "photo.jpg").symlink_to(Path(__file__).parent / "serving/photos/coat.jpg")
    # Neither the fit's kernels nor torch are imported beside the child that fits.
    assert imported(folder, "fit", "knn", "-d", "data") == CLASSICAL
    return folder


def test_a_network_is_fitted_without_importing_what_trains_it(folder: Path) -> None:
    """That is imported by the child, meanwhile."""
    command = ("fit", "mlp-10-10", "-d", "data", "--set", "epochs=1", "--runs", "others")
    assert imported(folder, *command) == {*PLAIN, "scipy"}


FIT = """
import sys
from fittingroom.data.sources import load_dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store
data, runs, model = sys.argv[1:]
dataset = load_dataset(data)
fit(spec_of(dataset, model), dataset, open_store(runs, dataset))
print(*sys.modules)
"""


@pytest.mark.skipif(not capabilities.multiplies_bytes(), reason="other kernels fit")
@pytest.mark.parametrize("model", ["knn", "logistic", "random-forest"])
def test_a_classical_fit_imports_no_pytorch(model: str, small_folder: Path, tmp_path: Path) -> None:
    """Nor skops, which imports it; all else is what scikit-learn and Numba need."""
    command = [sys.executable, "-c", FIT, str(small_folder), str(tmp_path), model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = HEAVY & set(done.stdout.split())
    if model == "knn" and capabilities.multiplies_matrices_of_bytes():
        imported -= {"torch"}  # by which it multiplies there
    assert imported == {*CLASSICAL, "numba"}


@pytest.mark.parametrize(
    ("command", "libraries"),
    [
        (("--help",), set()),
        (("--version",), {"pydantic"}),
        (("models",), {"pydantic"}),
        (("runs",), PLAIN),
        (("data", "data"), PLAIN),
        (("fit", "knn", "-d", "data"), CLASSICAL),  # it is saved
        (("predict", "knn", "photo.jpg"), {*CLASSICAL, "PIL", "skimage"}),
        (("report", "runs"), {*PLAIN, "scipy", "jinja2", "PIL"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_imports_only_what_it_needs(
    command: tuple[str, ...], libraries: set[str], folder: Path
) -> None:
    # OpenCV is an extra; it is used where it is installed.
    assert imported(folder, *command) - {"cv2"} == libraries
