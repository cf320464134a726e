"""hub.py: a folder that the hub reads and others can use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from PIL import Image
from safetensors.torch import load_file

from fittingroom.bundles.bundle import Bundle, load
from fittingroom.bundles.hub import Predictions, card, write_hub
from fittingroom.data.catalog import DATASETS
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.calibration import at_temperature, reliability
from fittingroom.evaluation.metrics import accuracy, log_loss, macro_f1


@pytest.fixture(scope="module")
def folders(
    bundles: Mapping[str, Bundle], test: Predictions, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders of a network and of a classical model."""
    made = {}
    for model in ("mlp-10-10", "logistic"):
        made[model] = tmp_path_factory.mktemp(model)
        write_hub(bundles[model], made[model], model, test)
    return made


@pytest.fixture(scope="module")
def test(bundles: Mapping[str, Bundle], small: Dataset) -> Predictions:
    images = small.test.images[:300]
    return bundles["mlp-10-10"].classifier.predict_proba(images), small.test.labels[:300]


def front_matter(text: str) -> dict[str, Any]:
    _, front, _ = text.split("---\n", 2)
    fields: dict[str, Any] = yaml.safe_load(front)
    assert fields == json.loads(front)
    return fields


def test_files(folders: Mapping[str, Path]) -> None:
    names = {model: {path.name for path in folder.iterdir()} for model, folder in folders.items()}
    both = {"README.md", "config.json", "model.onnx"}
    assert names["mlp-10-10"] == both | {"model.safetensors"}
    assert names["logistic"] == both | {"manifest.json", "estimator.skops", "arrays.safetensors"}


def test_classes_match_the_columns(
    folders: Mapping[str, Path], bundles: Mapping[str, Bundle]
) -> None:
    for model, folder in folders.items():
        config = json.loads((folder / "config.json").read_text("utf8"))
        labels = [config["id2label"][str(number)] for number in range(10)]
        assert labels == list(bundles[model].class_names)
        assert config["label2id"] == {label: number for number, label in enumerate(labels)}
        assert config["image_size"] == [28, 28]


def test_weights_are_the_networks(
    folders: Mapping[str, Path], bundles: Mapping[str, Bundle]
) -> None:
    weights = load_file(folders["mlp-10-10"] / "model.safetensors")
    ours = bundles["mlp-10-10"].classifier.net_.state_dict()
    assert weights.keys() == ours.keys()
    assert all(bool((weights[name] == ours[name]).all()) for name in ours)


def test_a_classical_models_folder_is_a_bundle(
    folders: Mapping[str, Path], bundles: Mapping[str, Bundle], test_images: np.ndarray
) -> None:
    np.testing.assert_array_equal(
        load(folders["logistic"]).predict_proba(test_images),
        bundles["logistic"].predict_proba(test_images),
    )


def test_the_card_has_results_in_the_hubs_format(
    folders: Mapping[str, Path], bundles: Mapping[str, Bundle], test: Predictions
) -> None:
    """The fields that hub-docs' modelcard.md requires, with the right figures."""
    fields = front_matter((folders["mlp-10-10"] / "README.md").read_text("utf8"))
    assert fields["pipeline_tag"] == "image-classification"
    (index,) = fields["model-index"]
    assert index["name"] == "mlp-10-10"
    (result,) = index["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"].keys() == {"type", "name", "split"}
    assert result["dataset"]["split"] == "test"
    metrics = {metric["type"]: metric["value"] for metric in result["metrics"]}
    calibrated = bundles["mlp-10-10"].facts.calibrated
    assert calibrated is not None
    probabilities = at_temperature(test[0], calibrated.temperature)
    assert metrics == pytest.approx(
        {
            "accuracy": accuracy(probabilities, test[1]),
            "f1": macro_f1(probabilities, test[1]),
            "log_loss": log_loss(probabilities, test[1]),
            "expected_calibration_error": reliability(
                probabilities, test[1]
            ).expected_calibration_error,
        },
        abs=1e-4,
    )


def test_a_card_without_a_test_split(bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles["logistic"]
    text = card(bundle, "mine", None)
    (result,) = front_matter(text)["model-index"][0]["results"]
    assert result["dataset"]["split"] == "train"
    assert bundle.facts.validation is not None
    assert result["metrics"][0]["value"] == round(bundle.facts.validation.accuracy, 4)
    bare = bundle.facts.model_copy(update={"validation": None, "calibrated": None})
    text = card(Bundle(bare, bundle.classifier), "mine", None)
    assert "model-index" not in front_matter(text)
    assert "## Results" not in text
    assert "the model's own" in text


def test_strange_names_are_quoted(bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles["logistic"]
    facts = bundle.facts.model_copy(
        update={"model": 'no: "yes" # {', "data": bundle.facts.data.model_copy()}
    )
    fields = front_matter(card(Bundle(facts, bundle.classifier), 'no: "yes" # {', None))
    assert fields["model-index"][0]["name"] == 'no: "yes" # {'
    assert fields["tags"][-1] == 'no: "yes" # {'


def test_a_known_data_set_has_its_name_on_the_hub(bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles["logistic"]
    assert "datasets" not in front_matter(card(bundle, "mine", None))
    data = bundle.facts.data.model_copy(update={"name": "fashion-mnist"})
    of_that_name = bundle.facts.model_copy(update={"data": data})
    named = card(Bundle(of_that_name, bundle.classifier), "mine", None)
    assert "datasets" not in front_matter(named)
    assert "Xiao" not in named
    data = data.model_copy(update={"sha256": DATASETS["fashion-mnist"].content})
    facts = bundle.facts.model_copy(update={"data": data})
    known = card(Bundle(facts, bundle.classifier), "mine", None)
    assert front_matter(known)["datasets"] == ["zalando-datasets/fashion_mnist"]
    assert "Xiao" in known


@pytest.mark.parametrize("model", ["mlp-10-10", "logistic"])
def test_the_cards_examples_run(
    model: str,
    folders: Mapping[str, Path],
    small: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (folders[model] / "README.md").read_text("utf8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    Image.fromarray(small.test.images[0]).save(folders[model] / "picture.png")
    monkeypatch.chdir(folders[model])
    for example in examples:
        exec(example, {})
        assert capsys.readouterr().out.strip()
