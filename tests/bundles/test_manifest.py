"""manifest.py: only what we write is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.manifest import Manifest
from fittingroom.errors import BundleError

FILES = {"weights.safetensors": b"weights"}


@pytest.fixture(scope="module")
def manifest(bundles: Mapping[str, Bundle]) -> Manifest:
    return Manifest.of(bundles["cnn-32"].facts, FILES)


Signed = Callable[[Callable[[dict[str, Any]], Any]], bytes]


@pytest.fixture(scope="module")
def signed(manifest: Manifest) -> Signed:
    """`signed(change)`: the changed manifest, with a hash that fits if there can be one."""

    def of(change: Callable[[dict[str, Any]], Any]) -> bytes:
        import hashlib

        fields = json.loads(manifest.to_json())
        change(fields)
        body = {key: value for key, value in fields.items() if key != "sha256"}
        text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
        if "sha256" in fields:
            fields["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode()

    return of


def test_a_manifest_survives_its_file(manifest: Manifest, signed: Signed) -> None:
    assert Manifest.parse(manifest.to_json().encode()) == manifest
    assert Manifest.parse(signed(lambda fields: None)) == manifest


def test_format_2_is_read_unchanged(manifest: Manifest, signed: Signed) -> None:
    """It had no thresholds per class."""

    def as_before(fields: dict[str, Any]) -> None:
        fields["facts"]["format"] = 2
        del fields["facts"]["calibrated"]["class_quantiles"]

    written = signed(as_before)
    read = Manifest.parse(written)
    assert read.to_json().encode() == written
    assert read.facts.calibrated is not None
    assert read.facts.calibrated.class_quantiles is None
    with pytest.raises(BundleError, match="format 2 has other fields"):
        Manifest.parse(signed(_with_thresholds_in_format_2))


def _with_thresholds_in_format_2(fields: dict[str, Any]) -> None:
    fields["facts"]["format"] = 2
    fields["facts"]["calibrated"]["class_quantiles"] = [0.9] * 10


def _in_facts(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: fields["facts"].update(changed)


def _in_calibrated(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: fields["facts"]["calibrated"].update(changed)


def _in_network(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: fields["facts"]["classifier"].update(changed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_in_facts(surprise=1), "facts.surprise"),
        (lambda fields: fields.update(surprise=1), "surprise"),
        (lambda fields: fields["facts"].pop("model"), "facts.model"),
        (lambda fields: fields.pop("sha256"), "sha256"),
        (_in_facts(format=4), "has format '4'"),
        (_in_facts(preparation=None), "format 3 has other fields"),
        (_in_calibrated(class_quantiles=[0.9] * 9), "format 3 has other fields"),
        (_in_calibrated(class_quantiles=[1.1] * 10), "class_quantiles"),
        (_in_facts(preparation="photo"), "isn't a valid manifest"),
        (_in_facts(format="1"), "has format '1'"),
        (_in_facts(model=""), "facts.model"),
        (_in_facts(model="x" * 2000), "facts.model"),
        (_in_facts(image_shape=[28]), "facts.image_shape"),
        (_in_facts(image_shape=[28, 2**40]), "facts.image_shape"),
        (_in_facts(image_shape=[28.0, 28]), "facts.image_shape"),
        (_in_facts(class_names=["one"]), "facts.class_names"),
        (_in_facts(classes=[0, 1, 1]), "aren't indices of class names"),
        (_in_facts(classes=[1, 0]), "aren't indices of class names"),
        (_in_facts(classes=[0, 10]), "aren't indices of class names"),
        (_in_facts(classes=[-1, 0]), "aren't indices of class names"),
        (_in_facts(classifier={"kind": "pickle"}), "facts.classifier"),
        (_in_network(net="os.system"), "facts.classifier.network.net"),
        (_in_network(precision="float8"), "facts.classifier.network.precision"),
        (_in_network(net="mlp", options={}), "hidden"),
        (_in_network(net="mlp", options={"hidden": [10**9]}), "hidden"),
        (lambda fields: fields["files"].clear(), "files"),
        (
            lambda fields: fields["files"]["weights.safetensors"].update(bytes=-1),
            "files.weights.safetensors.bytes",
        ),
        (
            lambda fields: fields["files"]["weights.safetensors"].update(bytes=2**40),
            "files.weights.safetensors.bytes",
        ),
    ],
)
def test_a_manifest_that_is_not_ours(change: Any, said: str, signed: Signed) -> None:
    with pytest.raises(BundleError, match=re.escape(said)):
        Manifest.parse(signed(change))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b"\xff\xfe",
        b"[" * 500_000,
        b'{"facts":' * 100_000,
        b'{"facts": NaN}',
        b'{"facts": Infinity}',
        b"9" * 1_000_000,
        b'{"a": 1, "a": 1}',
        json.dumps({f"k{i}": i for i in range(50_000)}).encode(),
        b'{"facts": "\\ud800"}',
    ],
)
def test_a_file_that_is_not_a_manifest(data: bytes) -> None:
    with pytest.raises(BundleError):
        Manifest.parse(data)


def test_a_duplicate_key(manifest: Manifest) -> None:
    text = manifest.to_json().replace('"facts": {', '"facts": {\n    "model": "other",', 1)
    with pytest.raises(BundleError, match="'model' occurs twice"):
        Manifest.parse(text.encode())


def test_any_changed_byte_is_detected(manifest: Manifest) -> None:
    data, rng = manifest.to_json().encode(), np.random.default_rng(0)
    for place in rng.integers(len(data), size=300):
        for changed in (
            data[:place] + bytes([data[place] ^ int(rng.integers(1, 256))]) + data[place + 1 :],
            data[:place] + b" " + data[place:],
            data[:place] + data[place + 1 :],
            data[:place],
        ):
            with pytest.raises(BundleError):
                Manifest.parse(changed)
