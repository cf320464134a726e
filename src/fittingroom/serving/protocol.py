"""The Open Inference Protocol, version 2, over HTTP: what requests and answers say.

The specification is https://github.com/kserve/open-inference-protocol; tensors may stand behind the
JSON as bytes, as its binary extension has it, which Triton's client uses by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.serving.pixels import read_json
from fittingroom.serving.served_model import ONNX, ServedModel

INPUT, PROBABILITIES, CLASS = "images", "probabilities", "class"
#: The length of the JSON where bytes follow it.
HEADER_LENGTH = "inference-header-content-length"
VERSION = "1"
TYPES = {
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
#: What an identifier of a request may have at most.
LONGEST_ID = 1000


@dataclass(frozen=True, eq=False)
class Request:
    """Images to classify.

    Attributes
    ----------
    images : uint8 (n, height, width)
    outputs : the names of those asked for, in order, and whether each is answered as bytes
    id : given back with the answer
    """

    images: NDArray[np.uint8]
    outputs: Mapping[str, bool]
    id: str | None


def server_metadata(version: str) -> dict[str, Any]:
    return {"name": "fittingroom", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """What a model takes and gives, and what it is."""
    classes, calibrated = len(model.class_names), model.facts.calibrated
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx" if model.runtime == ONNX else model.runtime,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *model.image_shape]}],
        "outputs": [
            {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, classes]},
            {"name": CLASS, "datatype": "BYTES", "shape": [-1]},
        ],
        "parameters": {
            "labels": list(model.class_names),
            "model": model.facts.model,
            "data": model.facts.data.name,
            "data_sha256": model.facts.data.sha256,
            "preparation": model.preparation,
            "temperature": None if calibrated is None else calibrated.temperature,
        },
    }


def parse(body: bytes, header_length: str | None, model: ServedModel) -> Request:
    """Read a request.

    Parameters
    ----------
    body : JSON, and behind it the tensors that it says are binary
    header_length : the length of the JSON as the header has it; None if it is the whole body

    Raises
    ------
    InputError : it isn't one, or its images aren't what the model takes
    """
    head, tail = _split(body, header_length)
    try:
        asked = read_json(head)
    except (ValueError, RecursionError):
        raise InputError("the request isn't JSON.") from None
    if not isinstance(asked, dict):
        raise InputError("the request isn't a JSON object.")
    tensors = asked.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise InputError(f"the request needs one input, {INPUT!r}.")
    images = _images(tensors[0], tail, model)
    request_id = asked.get("id")
    if request_id is not None and not (
        isinstance(request_id, str) and len(request_id) <= LONGEST_ID
    ):
        raise InputError(f"id is text of at most {LONGEST_ID:,} characters.")
    return Request(images, _outputs(asked), request_id)


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit() and len(header_length) <= 10):
        raise InputError("Inference-Header-Content-Length isn't a number.")
    length = int(header_length)
    if length > len(body):
        raise InputError("Inference-Header-Content-Length is more than the body holds.")
    return body[:length], body[length:]


def _images(tensor: Mapping[str, Any], tail: bytes, model: ServedModel) -> NDArray[np.uint8]:
    name, kind, shape = (tensor.get(key) for key in ("name", "datatype", "shape"))
    if name != INPUT:
        raise InputError(f"the input is called {INPUT!r}, not {name!r:.100}.")
    if not isinstance(kind, str) or kind not in TYPES:
        raise InputError(f"{INPUT} are numbers, such as UINT8, not {kind!r:.100}.")
    is_shape = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**31 for n in shape)
    if not is_shape or not shape:
        raise InputError(f"the shape of {INPUT} is a list of whole numbers.")
    height, width = model.image_shape
    n = shape[0]
    shapes = ([n, height, width], [n, height * width], [n, height, width, 1], [n, 1, height, width])
    if shape not in shapes or n == 0:
        raise InputError(
            f"{INPUT} have the shape {shape!s:.100}; {model.name} takes {shapes[0][1:]} each."
        )
    dtype = np.dtype(TYPES[kind])
    parameters = _parameters(tensor)
    _refuse_shared_memory(parameters)
    size = parameters.get("binary_data_size")
    if size is not None or tail:
        whole = _from_bytes(tail, size, dtype, n * height * width)
    else:
        whole = _from_json(tensor.get("data"), n * height * width)
    if whole.dtype != np.uint8:
        if not np.isfinite(whole).all() or whole.min() < 0 or whole.max() > 255:
            raise InputError(f"{INPUT} hold values outside 0 to 255.")
        if whole.dtype.kind == "f" and (whole != np.rint(whole)).any():
            raise InputError(f"{INPUT} hold fractions; pixels are whole numbers from 0 to 255.")
    return whole.astype(np.uint8).reshape(n, height, width)


def _from_bytes(tail: bytes, size: object, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
    if type(size) is not int or size != len(tail) or size != n * dtype.itemsize:
        raise InputError(
            f"{INPUT} are {n * dtype.itemsize:,} bytes by their shape; binary_data_size is "
            f"{size!r:.100}, and {len(tail):,} follow the JSON."
        )
    return np.frombuffer(tail, dtype)


def _from_json(data: object, n: int) -> NDArray[Any]:
    try:
        values = np.asarray(data)
    except ValueError:  # rows of different lengths
        values = np.empty(0)
    if values.dtype.kind not in "iuf" or values.size != n:
        raise InputError(f"data of {INPUT} are {n:,} numbers by their shape.")
    return values.ravel()


def _outputs(asked: Mapping[str, Any]) -> dict[str, bool]:
    """The outputs asked for, all where none is, and whether they are answered as bytes."""
    binary = _flag(asked, "binary_data_output", default=False)
    outputs = asked.get("outputs")
    if outputs is None or outputs == []:
        return {PROBABILITIES: binary, CLASS: binary}
    if not isinstance(outputs, list):
        raise InputError("outputs are a list.")
    found = {}
    for output in outputs:
        name = output.get("name") if isinstance(output, dict) else None
        if name not in (PROBABILITIES, CLASS):
            raise InputError(f"outputs are {PROBABILITIES!r} and {CLASS!r}, not {name!r:.100}.")
        parameters = _parameters(output)
        _refuse_shared_memory(parameters)
        if "classification" in parameters:
            raise InputError(f"outputs aren't sorted here; {CLASS!r} has the most probable class.")
        found[name] = _flag(output, "binary_data", default=binary)
    return found


def _refuse_shared_memory(parameters: Mapping[str, Any]) -> None:
    if any(name.startswith("shared_memory") for name in parameters):
        raise InputError("shared memory isn't offered; send tensors in the request.")


def _flag(of: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = _parameters(of).get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name} is true or false.")
    return value


def _parameters(of: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = of.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError("parameters are a JSON object.")
    return parameters


def answer(
    request: Request, probabilities: NDArray[np.float32], model: ServedModel
) -> tuple[bytes, int | None]:
    """The body of the answer, and the length of its JSON where bytes follow it."""
    names = np.array(model.class_names)[probabilities.argmax(axis=1)]
    outputs, blobs = [], []
    for name, binary in request.outputs.items():
        values: Sequence[Any] | NDArray[Any] = names if name == CLASS else probabilities
        shape = [len(probabilities)] if name == CLASS else list(probabilities.shape)
        output: dict[str, Any] = {
            "name": name,
            "datatype": "BYTES" if name == CLASS else "FP32",
            "shape": shape,
        }
        if binary:
            blob = _texts(names) if name == CLASS else probabilities.astype("<f4").tobytes()
            blobs.append(blob)
            output["parameters"] = {"binary_data_size": len(blob)}
        else:
            output["data"] = np.ravel(values).tolist()
        outputs.append(output)
    head: dict[str, Any] = {"model_name": model.name, "model_version": VERSION, "outputs": outputs}
    if request.id is not None:
        head["id"] = request.id
    text = json.dumps(head).encode()
    return b"".join([text, *blobs]), len(text) if blobs else None


def _texts(names: NDArray[np.str_]) -> bytes:
    """Texts as bytes, each after its length in four bytes."""
    encoded = [name.encode() for name in names.tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
