"""protocol.py: what requests may say, and what is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.serving import protocol
from fittingroom.serving.served_model import ServedModel

ZEROS = [0] * 784


@pytest.fixture(scope="session")
def model(served: dict[str, ServedModel]) -> ServedModel:
    return served["logistic"]


def tensor(shape: Any = (1, 28, 28), kind: Any = "UINT8", **more: Any) -> dict[str, Any]:
    return {"name": "images", "datatype": kind, "shape": shape, **more}


def body(of: dict[str, Any], tail: bytes = b"", **more: Any) -> tuple[bytes, str | None]:
    """The request's bytes, and the length of its JSON if bytes follow."""
    text = json.dumps({"inputs": [of], **more}).encode()
    return text + tail, str(len(text)) if tail else None


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 784), (2, 28, 28, 1), (2, 1, 28, 28)])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("UINT8", "u1"), ("INT64", "<i8"), ("UINT16", "<u2"), ("FP16", "<f2"), ("FP32", "<f4")],
)
def test_images_of_any_shape_and_type(
    shape: tuple[int, ...], kind: str, dtype: str, model: ServedModel, small: Dataset
) -> None:
    """As JSON, nested or flat, and as bytes behind it."""
    images = small.test.images[:2]
    nested = images.reshape(shape).astype(dtype)
    for data in (nested.tolist(), nested.ravel().tolist()):
        request = protocol.parse(*body(tensor(shape, kind, data=data)), model)
        np.testing.assert_array_equal(request.images, images)
    tail = nested.tobytes()
    described = tensor(shape, kind, parameters={"binary_data_size": len(tail)})
    request = protocol.parse(*body(described, tail), model)
    np.testing.assert_array_equal(request.images, images)
    assert request.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("request_", "length", "message"),
    [
        (b"", None, "isn't JSON"),
        (b"{" * 100_000, None, "isn't JSON"),
        (b"\xff", None, "isn't JSON"),
        (b"[]", None, "isn't a JSON object"),
        (b"{}", None, "needs one input, 'images'"),
        (b'{"inputs": [{}, {}]}', None, "needs one input"),
        (b'{"inputs": [3]}', None, "needs one input"),
        (b"{}", "3", "more than the body holds"),
        (b"{}", "-1", "isn't a number"),
        (b"{}", "\u0661", "isn't a number"),
        (b"{}", "1" * 5000, "isn't a number"),
        (*body(tensor() | {"name": "image"}), "called 'images', not 'image'"),
        (*body(tensor(kind="BYTES")), "are numbers, such as UINT8, not 'BYTES'"),
        (*body(tensor(kind=3)), "are numbers, such as UINT8, not 3"),
        (*body(tensor(None)), "a list of whole numbers"),
        (*body(tensor([])), "a list of whole numbers"),
        (*body(tensor([1, 28.0, 28])), "a list of whole numbers"),
        (*body(tensor([-1, 28, 28])), "a list of whole numbers"),
        (*body(tensor([True, 28, 28])), "a list of whole numbers"),
        (*body(tensor([0, 28, 28])), r"\[0, 28, 28\]; logistic takes \[28, 28\] each"),
        (*body(tensor([1, 28, 27])), r"\[1, 28, 27\]; logistic takes"),
        (*body(tensor()), "784 numbers by their shape"),
        (*body(tensor(data=[*ZEROS, 0])), "784 numbers by their shape"),
        (*body(tensor(data=[ZEROS, [0]])), "784 numbers by their shape"),
        (*body(tensor(data=["0"] * 784)), "784 numbers by their shape"),
        (*body(tensor(data=[None] * 784)), "784 numbers by their shape"),
        (*body(tensor(data=[True] * 784)), "784 numbers by their shape"),
        (*body(tensor(data=[10**30] * 784)), "784 numbers by their shape"),
        (*body(tensor(data=[256, *ZEROS[1:]])), "outside 0 to 255"),
        (*body(tensor(data=[-1, *ZEROS[1:]])), "outside 0 to 255"),
        (*body(tensor(data=[float("nan"), *ZEROS[1:]])), "outside 0 to 255"),
        (*body(tensor(data=[0.5, *ZEROS[1:]])), "hold fractions"),
        (*body(tensor(parameters={"binary_data_size": 784})), "784 bytes by their shape"),
        (*body(tensor(parameters={"binary_data_size": 783}), bytes(783)), "784 bytes"),
        (*body(tensor(parameters={"binary_data_size": "784"}), bytes(784)), "784 bytes"),
        (*body(tensor(data=ZEROS), bytes(3)), "784 bytes by their shape"),
        (*body(tensor(parameters={"shared_memory_region": "a"})), "shared memory isn't offered"),
        (
            *body(
                tensor(data=ZEROS),
                outputs=[{"name": "probabilities", "parameters": {"classification": 3}}],
            ),
            "outputs aren't sorted here",
        ),
        (*body(tensor(parameters=[1], data=ZEROS)), "parameters are a JSON object"),
        (*body(tensor(data=ZEROS), id=3), "id is text"),
        (*body(tensor(data=ZEROS), id="a" * 1001), "id is text of at most 1,000"),
        (*body(tensor(data=ZEROS), outputs={"name": "class"}), "outputs are a list"),
        (*body(tensor(data=ZEROS), outputs=[{"name": "x"}]), "not 'x'"),
        (*body(tensor(data=ZEROS), outputs=["class"]), "outputs are 'probabilities' and 'class'"),
        (*body(tensor(data=ZEROS), parameters={"binary_data_output": 1}), "true or false"),
        (
            *body(
                tensor(data=ZEROS), outputs=[{"name": "class", "parameters": {"binary_data": "no"}}]
            ),
            "binary_data is true or false",
        ),
    ],
)
def test_what_is_refused(
    request_: bytes, length: str | None, message: str, model: ServedModel
) -> None:
    with pytest.raises(InputError, match=message):
        protocol.parse(request_, length, model)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    key=st.sampled_from(["name", "datatype", "shape", "data", "parameters"]),
    of_request=st.sampled_from(["inputs", "outputs", "id", "parameters", "other"]),
    inside=ANYTHING,
    outside=ANYTHING,
)
def test_any_other_value_is_refused_or_understood(
    key: str, of_request: str, inside: Any, outside: Any, model: ServedModel
) -> None:
    for text in (
        json.dumps({"inputs": [tensor(data=ZEROS) | {key: inside}]}),
        json.dumps({"inputs": [tensor(data=ZEROS)], of_request: outside}),
    ):
        try:
            request = protocol.parse(text.encode(), None, model)
        except InputError as error:
            sentence = str(error)
        else:
            assert request.images.shape[1:] == (28, 28)
            probabilities = np.full((len(request.images), 10), 0.1, np.float32)
            json.loads(protocol.answer(request, probabilities, model)[0])
            continue
        assert sentence.encode().count(b"\n") == 0


def test_answers_as_json_and_as_bytes(model: ServedModel) -> None:
    probabilities = np.eye(10, dtype=np.float32)[[9, 0]]
    for binary in (False, True):
        outputs = {"class": binary, "probabilities": binary}
        request = protocol.Request(np.zeros((2, 28, 28), np.uint8), outputs, "\ud800ü")
        content, length = protocol.answer(request, probabilities, model)
        head = json.loads(content[:length])
        assert (head["id"], head["model_name"]) == ("\ud800ü", "logistic")
        names, shares = head["outputs"]
        assert (names["name"], names["shape"], names["datatype"]) == ("class", [2], "BYTES")
        assert shares["shape"] == [2, 10]
        if not binary:
            assert length is None
            assert names["data"] == ["Ankle boot", "T-shirt/top"]
            assert shares["data"] == probabilities.ravel().tolist()
            continue
        assert length is not None
        texts = content[length : length + names["parameters"]["binary_data_size"]]
        assert texts == b"\x0a\0\0\0Ankle boot\x0b\0\0\0T-shirt/top"
        blob = content[length + len(texts) :]
        assert shares["parameters"] == {"binary_data_size": len(blob)}
        np.testing.assert_array_equal(np.frombuffer(blob, "<f4").reshape(2, 10), probabilities)
