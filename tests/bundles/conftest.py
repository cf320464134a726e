"""Fitted classifiers of every kind, and their bundles on disk."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ValueInfoProto, helper

from fittingroom.bundles.bundle import Bundle, bundle_of, load
from fittingroom.bundles.graph import IR_VERSION, ML, ML_OPSET, OPSET, Graph
from fittingroom.bundles.manifest import FILE, Data, Manifest
from fittingroom.bundles.web_check import WEB
from fittingroom.bundles.web_engine import find_engine
from fittingroom.data.dataset import Dataset
from fittingroom.errors import BundleError
from fittingroom.javascript import inline_modules
from fittingroom.models.making import make_classifier

#: Audit events of running something, besides those of whole modules.
FORBIDDEN = {
    "exec",
    "compile",
    "import",
    "pickle.find_class",
    "os.system",
    "os.exec",
    "ctypes.dlopen",
}

#: Models of every kind, with options that make them quick to fit.
MODELS: dict[str, dict[str, Any]] = {
    "logistic": {},
    "linear-svm": {},
    "svm-rbf": {},
    "knn": {},
    "random-forest": {"n_estimators": 10},
    "hist-gradient-boosting": {"max_iter": 3},
    "hog-svm": {},
    "mlp-10-10": {"epochs": 2},
    "cnn-32": {"epochs": 2},
    "cnn-6-16-120": {"epochs": 1},
    "cnn-16-32-64-128": {"epochs": 1, "batch_size": 200, "channels": (4, 8), "hidden": (8,)},
    "swift-90": {"widths": (4, 8), "hidden": 8},
    "swift-photo": {"widths": (4, 8, 8), "hidden": 8, "epochs": 1},
    "wide-resnet": {"depth": 10, "width": 1, "epochs": 1},
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """Each of `MODELS` in turn."""
    return str(request.param)


@pytest.fixture(
    params=["logistic", "linear-svm", "svm-rbf", "knn", "random-forest", "hist-gradient-boosting"]
)
def classical(request: pytest.FixtureRequest) -> str:
    """A model of each classical kind in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def test_images(small: Dataset) -> np.ndarray:
    return small.test.images[:300]


@pytest.fixture(scope="session")
def bundles(small: Dataset) -> Mapping[str, Bundle]:
    """A bundle of each of `MODELS`, fitted on 400 images and calibrated on 200."""
    images, labels = small.train.images[::5], small.train.labels[::5]
    held_out, held_out_labels = small.train.images[1::10], small.train.labels[1::10]
    made = {}
    for model, options in MODELS.items():
        classifier = make_classifier(model, dataset=small, **options)
        classifier.fit(images.reshape(len(images), -1), labels)
        probabilities = classifier.predict_proba(held_out.reshape(len(held_out), -1))
        made[model] = bundle_of(
            classifier,
            model=model,
            class_names=small.class_names,
            image_shape=small.image_shape,
            data=Data(name=small.name, sha256=small.sha256, images=len(images)),
            preparation=small.preparation,
            parameters={key: list(v) if isinstance(v, tuple) else v for key, v in options.items()},
            validation=(probabilities, held_out_labels),
            calibration=(probabilities[:100], held_out_labels[:100]),
        )
    return made


@pytest.fixture(scope="session")
def saved(bundles: Mapping[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every bundle under its model's name. Don't change it."""
    folder = tmp_path_factory.mktemp("bundles")
    for model, bundle in bundles.items():
        bundle.save(folder / model)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Callable[[str], Path]:
    """`copied(model)`: a copy of a bundle, which may be spoilt."""

    def copy(model: str) -> Path:
        return Path(shutil.copytree(saved / model, tmp_path / model, dirs_exist_ok=True))

    return copy


@pytest.fixture(scope="session")
def resigned() -> Callable[..., Path]:
    """`resigned(folder, **facts)`: other facts, and hashes that fit whatever files are there."""

    def sign(folder: Path, **changed: Any) -> Path:
        facts = json.loads((folder / FILE).read_text(encoding="utf-8"))["facts"] | changed
        files = {
            path.name: {
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.iterdir(), key=lambda path: path.name != "estimator.skops")
            if path.name != FILE
        }
        body = {"facts": facts, "files": files}
        digest = hashlib.sha256(_text(body).encode()).hexdigest()
        (folder / FILE).write_text(_text({**body, "sha256": digest}), encoding="utf-8")
        return folder

    return sign


@pytest.fixture
def spoilt(copied: Callable[[str], Path], resigned: Callable[..., Path]) -> Callable[..., Path]:
    """`spoilt(model, change)`: a bundle whose estimator was changed, hashes and all.

    `change(schema, members)` may change the description, and files and arrays by name.
    """

    def spoil(model: str, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Path:
        folder = copied(model)
        file = folder / "estimator.skops"
        with zipfile.ZipFile(file) as archive:
            members: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
        schema = json.loads(members.pop("schema.json"))
        change(schema, members)
        members.setdefault("schema.json", json.dumps(schema).encode())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in members.items():
                if isinstance(content, np.ndarray):
                    np.save(buffer := io.BytesIO(), content, allow_pickle=False)
                    content = buffer.getvalue()
                archive.writestr(name, content)
        return resigned(folder)

    return spoil


@pytest.fixture(scope="session")
def computed() -> Callable[..., np.ndarray]:
    """`computed(graph, name, **inputs)`: what a graph computes under that name."""

    def compute(graph: Graph, name: str, **inputs: np.ndarray) -> np.ndarray:
        described = [
            helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for key, a in inputs.items()
        ]
        result = [ValueInfoProto(name=name)]
        model = helper.make_model(
            helper.make_graph(graph.nodes, "graph", described, result, graph.initializers),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)],
            ir_version=IR_VERSION,
        )
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return np.asarray(session.run([name], inputs)[0])

    return compute


@pytest.fixture(scope="session")
def watched(saved: Path) -> Callable[[], AbstractContextManager[list[tuple[str, Any]]]]:
    """`with watched() as events`: what the interpreter is made to do meanwhile.

    Everything that loading imports has been imported before.
    """
    heard: list[list[tuple[str, Any]]] = []

    def hear(event: str, arguments: Any) -> None:
        if heard:
            heard[-1].append((event, arguments))

    sys.addaudithook(hear)
    for folder in saved.iterdir():
        load(folder)
    for data in (b"{}", b"{"):
        with pytest.raises(BundleError):
            Manifest.parse(data)

    @contextmanager
    def watch() -> Iterator[list[tuple[str, Any]]]:
        heard.append([])
        try:
            yield heard[-1]
        finally:
            heard.pop()

    return watch


@pytest.fixture
def refused(watched: Any) -> Callable[..., None]:
    """`refused(folder, match)`: it is refused within two seconds, and none of it is executed."""

    def check(folder: Path, match: str | None = None) -> None:
        began = time.perf_counter()
        with watched() as events, pytest.raises(BundleError, match=match):
            load(folder)
        assert time.perf_counter() - began < 2
        names = {name for name, _ in events}
        assert not names & FORBIDDEN
        assert not any(name.startswith(("socket.", "subprocess.", "os.spawn")) for name in names)
        files = [arguments[0] for name, arguments in events if name == "open"]
        opened = [path for path in files if not isinstance(path, int)]  # of what was opened
        assert opened
        assert all(Path(str(path)).parent == folder for path in opened)

    return check


def _text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


@pytest.fixture(scope="session")
def evaluate() -> Callable[[str, str], Any]:
    """`evaluate(module, expression)`: its value after a module of the pages."""
    engine = find_engine()
    if engine is None:
        pytest.skip("neither node nor chromium is installed")

    def value(module: str, expression: str) -> Any:
        return engine.evaluate(inline_modules(WEB, module), expression)

    return value
