"""`fittingroom export` on the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fittingroom.bundles.web_engine import find_engine
from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


@pytest.fixture(scope="module")
def run(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved run. Not to be changed."""
    store = open_store(tmp_path_factory.mktemp("runs"), small)
    return fit(spec_of(small, "logistic"), small, store).folder


def call(*arguments: str) -> tuple[str, str]:
    """What it prints on stdout and stderr; errors are raised."""
    result = CliRunner().invoke(app, ["export", *arguments], catch_exceptions=False)
    return result.stdout, result.stderr


def refusal(*arguments: str) -> FittingroomError:
    with pytest.raises(FittingroomError) as caught:
        call(*arguments)
    return caught.value


def test_export_as_json(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data are found at their location at the time of the fit."""
    monkeypatch.chdir(tmp_path)
    stdout, stderr = call(str(run), "--json")
    facts = json.loads(stdout)
    assert facts["schema_version"] == 1
    assert facts["path"] == "logistic.onnx"
    assert facts["files"] == {"logistic.onnx": (tmp_path / "logistic.onnx").stat().st_size}
    assert facts["verified"]["by"] == "onnxruntime"
    assert facts["verified"]["images"] == facts["verified"]["labels_equal"] == 1000
    assert facts["verified"]["largest_difference"] < 1e-4
    assert "comparing 1,000 predictions" in stderr


def test_a_model_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, stderr = call("logistic", "--runs", str(run.parents[2]))
    assert stderr.startswith(f"logistic, seed 0: {run}\n")
    assert (tmp_path / "logistic.onnx").exists()


def test_export_as_text(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stdout, _ = call(str(run), "--format", "hub")
    assert "README.md" in stdout
    assert "1,000 of 1,000 labels equal" in stdout
    assert '"split": "test"' in (tmp_path / "logistic-hub" / "README.md").read_text("utf8")


def test_export_as_a_web_page(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = find_engine()
    stdout, stderr = call(str(run), "--format", "web")
    page = (tmp_path / "logistic.html").read_text("utf8")
    assert "of 1,000 test images (95% interval" in page
    assert "logistic: writing the page, then comparing 1,000 predictions" in stderr
    assert stdout.startswith("logistic.html  ")
    if engine is not None:
        assert re.search(rf"verified by {engine.name}: (1,000|99\d) of 1,000 labels equal", stdout)
    monkeypatch.setenv("PATH", "")
    stdout, stderr = call(str(run), "--format", "web", "--force", "--json")
    facts = json.loads(stdout)
    assert facts["verified"] is None
    assert facts["files"] == {"logistic.html": (tmp_path / "logistic.html").stat().st_size}
    assert "not verified: " in stderr
    assert "since neither Node.js nor Chromium was found" in stderr


def test_a_page_of_a_model_that_no_page_can_run(small: Dataset, tmp_path: Path) -> None:
    spec = spec_of(small, "knn")
    other = fit(spec, small, open_store(tmp_path / "runs", small)).folder
    error = refusal(str(other), "--format", "web", "--out", str(tmp_path / "page.html"))
    assert "knn can't be exported as a web page" in str(error)
    assert error.exit_code == 1
    assert not (tmp_path / "page.html").exists()


def test_a_bundle_does_not_know_where_its_data_are(
    small_folder: Path, run: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(run / "model", tmp_path / "bundle")
    out = tmp_path / "x.onnx"
    error = refusal(str(bundle), "--out", str(out))
    assert "needed to verify the export, isn't found" in str(error)
    assert "--no-verify" in str(error)
    assert not out.exists()
    stdout, _ = call(str(bundle), "--out", str(out), "--dataset", str(small_folder))
    assert "verified by onnxruntime: 1,000 of 1,000" in stdout


def test_other_data_are_refused(run: Path, small: Dataset, tmp_path: Path) -> None:
    other = Dataset.from_arrays(
        *(small.train.images[:50], small.train.labels[:50]),
        *(small.test.images[:50], small.test.labels[:50]),
        class_names=small.class_names,
    )
    other.write_idx(tmp_path / "other")
    out = tmp_path / "x.onnx"
    error = refusal(str(run), "--dataset", str(tmp_path / "other"), "--out", str(out))
    assert f"fitted on {small.name} {small.sha256[:8]}" in str(error)
    assert not out.exists()


def test_an_unverified_export_says_so(run: Path, tmp_path: Path) -> None:
    stdout, stderr = call(str(run), "--no-verify", "--out", str(tmp_path / "x.onnx"), "--json")
    assert json.loads(stdout)["verified"] is None
    assert "not verified" in stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent"], 1, "absent doesn't exist, and no saved runs in runs"),
        (["RUN", "--format", "onxx"], 2, "--format takes onnx, hub, triton or web, not 'onxx'"),
        (["RUN", "--no-verify", "--dataset", "x"], 2, "omit it or --no-verify"),
        (["RUN", "--dataset", "fashion"], 2, "fashion-mnist"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: list[str], code: int, message: str, run: Path
) -> None:
    error = refusal(*[str(run) if text == "RUN" else text for text in arguments])
    assert message in str(error)
    assert error.exit_code == code


def test_a_run_without_a_model(run: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("model"))
    assert "no model was kept for" in str(refusal(str(bare)))


def test_a_run_with_another_model_is_refused(run: Path, small: Dataset, tmp_path: Path) -> None:
    """Its model card would show the results of this run."""
    other = fit(spec_of(small, "knn"), small, open_store(tmp_path / "runs", small))
    swapped = shutil.copytree(run, tmp_path / "swapped")
    shutil.rmtree(swapped / "model")
    shutil.copytree(other.folder / "model", swapped / "model")
    assert "swapped/model/arrays.safetensors can't be read" in str(refusal(str(swapped)))
    shutil.copy(run / "model" / "arrays.safetensors", swapped / "model")
    assert "estimator.skops was changed after it was saved" in str(refusal(str(swapped)))
    beside = shutil.copytree(run, tmp_path / "beside")
    for file in (other.folder / "model").iterdir():
        shutil.copy(file, beside)
    (beside / "model" / ".DS_Store").write_text("left by a file manager")
    out = tmp_path / "x.onnx"
    stdout, _ = call(str(beside), "--no-verify", "--out", str(out), "--json")
    assert json.loads(stdout)["model"] == "logistic"
