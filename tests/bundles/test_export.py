"""export.py: exports are verified before they are in place, and no existing file is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bundles import export as exports
from fittingroom.bundles import parity as parities
from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.export import export
from fittingroom.bundles.parity import Parity
from fittingroom.errors import BundleError, UsageError

FORMATS = ("onnx", "hub", "triton")


@pytest.fixture
def bundle(bundles: Mapping[str, Bundle]) -> Bundle:
    return bundles["logistic"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("format", "place"),
    [
        ("onnx", "logistic.onnx"),
        ("hub", "logistic-hub"),
        ("triton", "model-repository/logistic"),
        ("web", "logistic.html"),
    ],
)
def test_by_default_it_is_named_after_the_model(
    format: exports.Format, place: str, bundle: Bundle, test_images: np.ndarray, tmp_path: Path
) -> None:
    written = export(bundle, format, images=test_images)
    assert written.path == Path(place)
    if format != "web":
        assert written.verified_by == "onnxruntime"
    elif written.verified_by is None:
        pytest.skip("neither node nor chromium is installed")
    assert written.parity is not None
    assert written.parity.labels_equal == 300
    there = {name: size for name, size in written.files.items() if format in ("hub", "triton")}
    for name, size in there.items():
        assert (tmp_path / place / name).stat().st_size == size > 0
    assert any(name.endswith((".onnx", ".html")) for name in written.files)
    assert not [name for name in everything(tmp_path) if Path(name).name.startswith(".")]


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_that_differs_is_not_written(
    format: exports.Format,
    bundle: Bundle,
    test_images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parities, "parity", lambda *_: Parity(300, 299, 0.2))
    with pytest.raises(BundleError, match=r"nothing was written, since .* for 1 of 300 images"):
        export(bundle, format, tmp_path / "out" / "x", images=test_images)
    assert [name for name in everything(tmp_path) if "." in name] == []


@pytest.mark.parametrize("format", [*FORMATS, "web"])
def test_only_an_export_is_replaced_and_only_with_force(
    format: exports.Format, bundle: Bundle, tmp_path: Path
) -> None:
    first = export(bundle, format, images=None)
    before = everything(tmp_path)
    with pytest.raises(UsageError, match="already exists"):
        export(bundle, format, images=None)
    again = export(bundle, format, images=None, force=True)
    assert again.path == first.path
    assert again.files.keys() == first.files.keys()
    assert everything(tmp_path) == before


def test_a_folder_with_other_files_is_not_replaced(bundle: Bundle, tmp_path: Path) -> None:
    place = export(bundle, "hub", images=None).path
    (place / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"also holds 'thesis\.tex'"):
        export(bundle, "hub", images=None, force=True)
    assert (place / "thesis.tex").read_text() == "mine"
    with pytest.raises(UsageError, match="isn't an export in this format"):
        export(bundle, "onnx", place, images=None, force=True)
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UsageError, match="isn't an export in this format"):
        export(bundle, "hub", tmp_path / "note", images=None, force=True)
    assert (tmp_path / "note").read_text() == "mine"


def test_a_failed_replacement_leaves_the_old_one(
    bundle: Bundle, test_images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = export(bundle, "onnx", images=None).path
    before = place.read_bytes()
    monkeypatch.setattr(parities, "parity", lambda *_: Parity(300, 0, 1.0))
    with pytest.raises(BundleError):
        export(bundle, "onnx", images=test_images, force=True)
    assert place.read_bytes() == before
    assert everything(tmp_path) == ["logistic.onnx"]


def test_a_folder_that_can_not_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="can't be written"):
        export(bundle, "onnx", tmp_path / "file" / "model.onnx", images=None)


def test_an_untrusted_name_does_not_leave_the_folder(bundle: Bundle, tmp_path: Path) -> None:
    facts = bundle.facts.model_copy(update={"model": "../../.ssh/a b"})
    written = export(Bundle(facts, bundle.classifier), "triton", images=None)
    assert written.path == Path("model-repository/ssh-a-b")
    assert 'name: "ssh-a-b"' in (written.path / "config.pbtxt").read_text()


def test_models_share_a_repository(bundles: Mapping[str, Bundle], tmp_path: Path) -> None:
    for model in ("logistic", "linear-svm"):
        export(bundles[model], "triton", tmp_path / "served", images=None)
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == [
        "linear-svm",
        "logistic",
    ]


def test_without_the_packages_it_says_what_to_install(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UsageError, match=r"needs onnxscript, .*'fittingroom\[onnx\]'"):
        export(bundle, "onnx", images=None)
    assert everything(tmp_path) == []
