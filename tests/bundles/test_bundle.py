"""bundle.py: what is loaded is exactly what was saved, or it is refused."""

from __future__ import annotations

import contextlib
import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from torch import nn

from fittingroom.bundles.bundle import Bundle, bundle_of, load
from fittingroom.bundles.estimator import _KINDS
from fittingroom.bundles.manifest import FILE, Classical, Data, File, Manifest
from fittingroom.bundles.predictor import predict_picture
from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import decode
from fittingroom.data.sources import load_dataset
from fittingroom.errors import BundleError
from fittingroom.evaluation.calibration import at_temperature
from fittingroom.kernels.capabilities import multiplies_bytes
from fittingroom.models.catalog import MODELS as CATALOGUE
from fittingroom.models.making import make_classifier
from fittingroom.models.nearest import NearestImages
from fittingroom.models.network import NetworkClassifier
from fittingroom.models.rows import ClassicalRow
from fittingroom.training.recipe import Recipe

Copied = Callable[[str], Path]
Resigned = Callable[..., Path]
Refused = Callable[..., None]
FORMAT_1 = Path(__file__).parent / "format-1"
EARLIER = Path(__file__).parent / "scikit-learn-1.6"


def test_a_loaded_classifier_predicts_the_same_to_the_bit(
    model: str, bundles: Mapping[str, Bundle], saved: Path, test_images: np.ndarray
) -> None:
    loaded, live = load(saved / model), bundles[model]
    rows = test_images.reshape(len(test_images), -1)
    np.testing.assert_array_equal(
        loaded.classifier.predict_proba(rows), live.classifier.predict_proba(rows)
    )
    np.testing.assert_array_equal(
        loaded.predict_proba(test_images), live.predict_proba(test_images)
    )
    np.testing.assert_array_equal(
        loaded.classifier.predict(rows), loaded.classifier.predict_proba(rows).argmax(axis=1)
    )
    assert loaded.facts == live.facts


#: Settings that make a catalogue model quick to fit, if a single epoch isn't enough for that.
QUICK: dict[str, dict[str, Any]] = {
    "hist-gradient-boosting": {"max_iter": 10},
    "cnn-16-32-64-128": {"epochs": 1, "pooling": True},
    "wide-resnet": {"depth": 16, "width": 2, "epochs": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_of_the_catalogue_after_loading(
    name: str, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 10,000 images exactly the same; without scikit-learn-intelex, nearly the same."""
    one_epoch = {"epochs": 1} if CATALOGUE[name].family == "network" else {}
    classifier = make_classifier(name, dataset=small, **QUICK.get(name, one_epoch))
    classifier.fit(small.train.images.reshape(2000, -1), small.train.labels)
    data = Data(name=small.name, sha256=small.sha256, images=2000)
    bundle = bundle_of(
        classifier, model=name, class_names=small.class_names, image_shape=(28, 28), data=data
    )
    folder = bundle.save(tmp_path / "bundle")
    images = load_dataset("fashion-mnist").test.images
    assert len(images) == 10_000
    live = bundle.predict_proba(images)
    np.testing.assert_array_equal(load(folder).predict_proba(images), live)
    monkeypatch.setattr(
        "fittingroom.bundles.saved_classical.accelerate", lambda estimator: estimator
    )
    stock = load(folder).predict_proba(images)
    assert (stock.argmax(axis=1) == live.argmax(axis=1)).mean() >= 0.999
    np.testing.assert_allclose(stock, live, atol=1e-5)


BY_SCIKIT_LEARN = [
    name
    for name, row in CATALOGUE.items()
    if isinstance(row, ClassicalRow) and "engine" in inspect.signature(row.build).parameters
]


@pytest.mark.parametrize("name", BY_SCIKIT_LEARN)
def test_what_scikit_learn_itself_fitted_can_be_loaded(
    name: str, some_of: Callable[..., Dataset], tmp_path: Path
) -> None:
    """As where scikit-learn-intelex isn't to be had; it leaves other attributes."""
    few = some_of(dict.fromkeys(range(10), 20), {0: 1})
    classifier = make_classifier(name, dataset=few, engine="scikit-learn")
    classifier.fit(few.train.images.reshape(200, -1), few.train.labels)
    data = Data(name=few.name, sha256=few.sha256, images=200)
    bundle = bundle_of(
        classifier, model=name, class_names=few.class_names, image_shape=(28, 28), data=data
    )
    loaded = load(bundle.save(tmp_path / "bundle"))
    np.testing.assert_allclose(
        loaded.predict_proba(few.train.images), bundle.predict_proba(few.train.images), atol=1e-6
    )


def test_attributes_that_another_version_leaves_are_not_saved(
    bundles: Mapping[str, Bundle], tmp_path: Path, small: Dataset
) -> None:
    bundle = bundles["logistic"]
    bundle.classifier.estimator_._of_a_later_version = np.ones(3)
    try:
        loaded = load(bundle.save(tmp_path / "bundle"))
        assert bundle.classifier.estimator_._of_a_later_version is not None
    finally:
        del bundle.classifier.estimator_._of_a_later_version
    images = small.test.images[:20]
    np.testing.assert_array_equal(loaded.predict_proba(images), bundle.predict_proba(images))


@pytest.mark.parametrize("folder", sorted(FORMAT_1.glob("*/")), ids=lambda folder: folder.name)
def test_bundles_of_the_first_format_are_read_forever(folder: Path, small: Dataset) -> None:
    """Saved by version 0.1.0 with what they predicted then; never make them again."""
    bundle = load(folder)
    assert bundle.facts.format == 1
    then = np.load(FORMAT_1 / f"{folder.name}.npy")
    np.testing.assert_allclose(bundle.predict_proba(small.test.images[:100]), then, atol=1e-5)


@pytest.mark.parametrize("folder", sorted(EARLIER.glob("*/")), ids=lambda folder: folder.name)
def test_bundles_saved_with_an_earlier_scikit_learn(folder: Path, small: Dataset) -> None:
    """With what they predicted there; a warning of scikit-learn's would be an error."""
    bundle = load(folder)
    assert bundle.facts.versions["scikit-learn"] == "1.6.1"
    then = np.load(EARLIER / f"{folder.name}.npy")
    np.testing.assert_allclose(bundle.predict_proba(small.test.images[:100]), then, atol=1e-5)


def test_every_classical_kind_was_saved_with_an_earlier_scikit_learn() -> None:
    saved = [load(folder).facts.classifier for folder in EARLIER.glob("*/")]
    assert {each.estimator for each in saved if isinstance(each, Classical)} == set(_KINDS)


def test_there_are_bundles_of_the_first_format() -> None:
    kinds = {load(folder).facts.classifier.kind for folder in FORMAT_1.glob("*/")}
    assert kinds == {"network", "classical"}


def test_a_loaded_bundle_can_be_saved_again(model: str, saved: Path, tmp_path: Path) -> None:
    first = load(saved / model)
    again = load(first.save(tmp_path / "again"))
    assert again.facts == first.facts
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    np.testing.assert_array_equal(again.predict_proba(images), first.predict_proba(images))


def test_probabilities_are_calibrated(bundles: Mapping[str, Bundle], small: Dataset) -> None:
    bundle = bundles["cnn-32"]
    assert bundle.facts.calibrated is not None
    images = small.test.images[:50]
    expected = at_temperature(
        bundle.classifier.predict_proba(images), bundle.facts.calibrated.temperature
    )
    np.testing.assert_allclose(bundle.predict_proba(images), expected, atol=1e-6)
    assert bundle.facts.validation is not None
    assert 0.5 < bundle.facts.validation.accuracy < 1
    assert bundle.class_names == small.class_names


@pytest.mark.skipif(not multiplies_bytes(), reason="no fast products of eight-bit numbers")
def test_classes_are_predicted_by_name(
    bundles: Mapping[str, Bundle], small: Dataset, tmp_path: Path
) -> None:
    bundle = bundles["logistic"]
    names = bundle.predict(small.test.images)
    assert names.shape == (len(small.test),)
    first = bundle.predict_proba(small.test.images).argmax(axis=1)
    assert list(names) == [small.class_names[label] for label in first]
    Image.fromarray(small.test.images[0]).save(tmp_path / "boot.png")
    photo = bundle.predict_photo(tmp_path / "boot.png")
    assert photo.top(1)[0][0] == predict_picture(bundle, decode(tmp_path / "boot.png")).top(1)[0][0]
    assert bundle.predict_photo((tmp_path / "boot.png").read_bytes()).top() == photo.top()


def test_a_fast_engine_is_used_again(saved: Path) -> None:
    assert isinstance(load(saved / "knn").classifier.estimator_, NearestImages)


def test_the_bundle_of_a_run_is_found(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "mlp-10-10", tmp_path / "run" / "model")
    assert load(tmp_path / "run").facts.model == "mlp-10-10"


def test_a_classifier_fitted_on_some_of_the_classes(small: Dataset, tmp_path: Path) -> None:
    of_two = np.isin(small.train.labels, [2, 5])
    classifier = make_classifier("logistic").fit(
        small.train.images[of_two], small.train.labels[of_two]
    )
    bundle = bundle_of(
        classifier,
        model="logistic",
        class_names=small.class_names,
        image_shape=(28, 28),
        data=Data(name="some", sha256=small.sha256, images=int(of_two.sum())),
    )
    loaded = load(bundle.save(tmp_path / "bundle"))
    assert loaded.class_names == (small.class_names[2], small.class_names[5])
    assert loaded.predict_proba(small.test.images[:3]).shape == (3, 2)
    assert set(loaded.classifier.predict(small.test.images[:50])) <= {2, 5}


def test_an_existing_folder_is_not_overwritten(
    bundles: Mapping[str, Bundle], tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "note.txt").write_text("mine")
    with pytest.raises(BundleError, match="already exists"):
        bundles["logistic"].save(tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["note.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BundleError, match="can't be written"):
        bundles["logistic"].save(tmp_path / "file" / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "kept"]


def test_a_classifier_that_is_not_data_alone_is_not_saved(small: Dataset) -> None:
    facts: dict[str, Any] = {
        "model": "own",
        "class_names": small.class_names,
        "image_shape": (28, 28),
        "data": Data(name="x", sha256=small.sha256, images=1),
    }
    images, labels = small.train.images[::20], small.train.labels[::20]
    own = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    network = NetworkClassifier(own, recipe=Recipe(epochs=1)).fit(images, labels)
    with pytest.raises(BundleError, match="of your own can't be saved"):
        bundle_of(network, **facts)
    stock = LogisticRegression(tol=100).fit(images.reshape(len(images), -1), labels)
    with pytest.raises(BundleError, match="LogisticRegression can't be saved"):
        bundle_of(stock, **facts)
    with pytest.raises(NotFittedError):
        bundle_of(make_classifier("logistic"), **facts)


def test_a_missing_bundle_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, said in (("nowhere", "doesn't exist"), ("file", "a bundle is a folder")):
        with pytest.raises(BundleError, match=said):
            load(tmp_path / name)
    with pytest.raises(BundleError, match=r"empty isn't a bundle: it has no manifest\.json"):
        load(tmp_path / "empty")


def test_a_file_that_the_manifest_does_not_describe(copied: Copied, refused: Refused) -> None:
    folder = copied("mlp-10-10")
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)
    refused(folder, "isn't the file that")
    (folder / "weights.safetensors").write_bytes(data + b"0")
    refused(folder, "more than the")
    (folder / "weights.safetensors").unlink()
    refused(folder, "can't be read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no links and pipes here")
def test_links_and_pipes_are_not_followed(copied: Copied, tmp_path: Path, refused: Refused) -> None:
    folder = copied("mlp-10-10")
    (folder / "weights.safetensors").rename(tmp_path / "elsewhere")
    (folder / "weights.safetensors").symlink_to(tmp_path / "elsewhere")
    refused(folder, "links to something outside")
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")
    refused(folder, "is a pipe, not a file")


@pytest.mark.parametrize(
    "name", ["../weights.safetensors", "/etc/passwd", "model.pkl", "estimator.skops"]
)
def test_a_manifest_must_name_exactly_its_files(
    name: str, copied: Copied, refused: Refused
) -> None:
    folder = copied("mlp-10-10")
    manifest = Manifest.parse((folder / FILE).read_bytes())
    files = {name: File(bytes=10, sha256="0" * 64)}
    changed = manifest.model_copy(update={"files": files})
    changed = changed.model_copy(update={"sha256": changed.digest()})
    (folder / FILE).write_text(changed.to_json(), encoding="utf-8")
    refused(folder, "must name exactly the files")


def test_a_descriptor_of_terabytes(copied: Copied, resigned: Resigned, refused: Refused) -> None:
    folder = copied("hog-svm")
    described = Manifest.parse((folder / FILE).read_bytes()).facts.classifier.model_dump(
        mode="json"
    )
    hog = described["hog"] | {"cell": 1, "block": 256, "image_shape": [1024, 1024]}
    large = {"image_shape": [1024, 1024], "classifier": {**described, "hog": hog}}
    refused(resigned(folder, **large), "it would compute 697,[0-9,]* features")
    other = described["hog"] | {"image_shape": [56, 14]}
    refused(resigned(folder, classifier={**described, "hog": other}), "images of two shapes")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "\u202eb", ""])
def test_names_with_control_characters(
    name: str, copied: Copied, resigned: Resigned, refused: Refused
) -> None:
    folder = copied("logistic")
    facts = Manifest.parse((folder / FILE).read_bytes()).facts
    refused(resigned(folder, class_names=[name, *facts.class_names[1:]]), "class_names.0")
    refused(resigned(folder, model=name), "model")


def test_an_image_shape_that_the_estimator_cannot_take(
    copied: Copied, resigned: Resigned, refused: Refused
) -> None:
    for model in ("random-forest", "svm-rbf", "knn", "logistic", "hist-gradient-boosting"):
        refused(resigned(copied(model), image_shape=[14, 28]))


def test_any_changed_byte_is_detected(model: str, saved: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(model))
    for path in sorted((saved / model).iterdir()):
        original = path.read_bytes()
        for trial in range(8):
            folder = tmp_path / f"{path.stem}-{trial}"
            shutil.copytree(saved / model, folder)
            data = bytearray(original)
            data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
            (folder / path.name).write_bytes(data)
            with pytest.raises(BundleError):
                load(folder)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with a bit flipped, some removed, doubled or overwritten, or the end cut off."""
    place, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
    kind = rng.integers(5)
    if kind == 0:
        return data[:place] + bytes([data[place] ^ (1 << rng.integers(8))]) + data[place + 1 :]
    if kind == 1:
        return data[:place] + data[place + length :]
    if kind == 2:
        return data[:place] + data[place : place + length] + data[place:]
    if kind == 3:
        return data[:place] + rng.bytes(length) + data[place + length :]
    return data[:place]


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["mlp-10-10", "logistic", "knn", "random-forest", "hist-gradient-boosting"]
)
def test_mutations(model: str, copied: Copied, resigned: Resigned) -> None:
    """4,000 of them: with the old hashes they are refused, with new ones none does any harm."""
    folder, rng = copied(model), np.random.default_rng(1)
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    manifest = files[folder / FILE]
    images = np.zeros((2, 28, 28), np.uint8)
    for trial in range(4000):
        path = list(files)[int(rng.integers(len(files)))]
        path.write_bytes(changed := mutated(files[path], rng))
        if changed != files[path]:
            with pytest.raises(BundleError):
                load(folder)
        if trial % 2 and path.name != FILE:
            with contextlib.suppress(BundleError):
                assert load(resigned(folder)).predict_proba(images).shape == (2, 10)
            (folder / FILE).write_bytes(manifest)
        path.write_bytes(files[path])
