"""What people read where a package of an extra isn't installed."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fittingroom.bench.comparison.analysis import analyse
from fittingroom.cli.doctor import EXTRAS
from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError, install_command
from fittingroom.reporting.words import train_suspects
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "tests" / "data" / "fashion-mnist-small"
#: A package of each extra, without which something is missing.
PACKAGES = {name: extra.packages[0] for name, extra in EXTRAS.items()}


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"dev", "docs"}


@pytest.fixture
def folder(tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a saved run and a photo."""
    fit(spec_of(small, "knn"), small, open_store(tmp_path / "runs", small))
    photo = Image.new("RGB", (200, 240), "#d8d0c4")
    photo.paste("#203060", (50, 50, 150, 190))
    photo.save(tmp_path / "photo.jpg")
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("onnx", ("export", "knn", "--dataset", str(SMALL))),
        ("tune", ("tune", "knn", "--trials", "1", "--dataset", str(SMALL))),
        ("parquet", ("data", "mine.parquet")),
        ("ray", ("compare", "--models", "knn", "--on", "ray", "--dataset", str(SMALL))),
    ],
)
def test_a_command_without_its_package_says_how_to_get_it(
    extra: str, arguments: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[extra], None)
    with pytest.raises(UsageError) as error:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert str(error.value).endswith(f"run {install_command(extra)}.")


def test_predict_without_opencv_says_what_it_would_add(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = ("predict", "knn", "photo.jpg", "--as", "photo")
    assert install_command("photos") not in CliRunner().invoke(app, predict).stderr
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = CliRunner().invoke(app, predict)
    assert result.exit_code == 0
    assert f"run {install_command('photos')}." in result.stderr


def test_doubtful_labels_without_cleanlab_say_what_it_would_add(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "runs", small)
    fit(spec_of(small, "knn", folds=2), small, store)
    assert install_command("labels") not in train_suspects(analyse(store))
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    assert train_suspects(analyse(store)).endswith(f"run {install_command('labels')}.")
