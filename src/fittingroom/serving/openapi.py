"""The server's routes as an OpenAPI document, by which others make clients and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fittingroom.serving import protocol
from fittingroom.serving.guard import RETRY
from fittingroom.serving.photo import MOST_NEAREST
from fittingroom.serving.served_model import ServedModel

PATH = "/openapi.json"

_TEXT, _BOOLEAN, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "number"}
_NAMES = {"type": "array", "items": _TEXT}
_SHAPE = {"type": "array", "items": {"type": "integer", "minimum": -1}}
_BINARY_SIZE = {
    "type": "object",
    "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
}

_SCHEMAS: dict[str, Any] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
    "Server": {
        "type": "object",
        "required": ["name", "version", "extensions"],
        "properties": {"name": _TEXT, "version": _TEXT, "extensions": _NAMES},
    },
    "TensorOfModel": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {"name": _TEXT, "datatype": _TEXT, "shape": _SHAPE},
    },
    "Model": {
        "type": "object",
        "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": _TEXT,
            "versions": _NAMES,
            "platform": _TEXT,
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/TensorOfModel"}},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/TensorOfModel"}},
            "parameters": {"type": "object"},
        },
    },
    "Images": {
        "type": "object",
        "description": "(n, height, width), (n, height × width) or with an axis for the one "
        "channel; whole numbers from 0, black, to 255. Binary data follow the JSON instead.",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": protocol.INPUT},
            "datatype": {"enum": [*protocol.TYPES]},
            "shape": {
                "type": "array",
                "minItems": 2,
                "maxItems": 4,
                "items": {"type": "integer", "minimum": 1},
            },
            "data": {"type": "array", "minItems": 1},
            "parameters": _BINARY_SIZE,
        },
    },
    "WantedOutput": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"enum": [protocol.PROBABILITIES, protocol.CLASS]},
            "parameters": {"type": "object", "properties": {"binary_data": _BOOLEAN}},
        },
    },
    "Inference": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "maxLength": protocol.LONGEST_ID},
            "parameters": {"type": "object", "properties": {"binary_data_output": _BOOLEAN}},
            "inputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {"$ref": "#/components/schemas/Images"},
            },
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/WantedOutput"}},
        },
    },
    "Output": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"enum": [protocol.PROBABILITIES, protocol.CLASS]},
            "datatype": {"enum": ["FP32", "BYTES"]},
            "shape": _SHAPE,
            "data": {"type": "array", "items": {"type": ["number", "string"]}},
            "parameters": _BINARY_SIZE,
        },
    },
    "Answer": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "id": _TEXT,
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Output"}},
        },
    },
    "Prediction": {
        "type": "object",
        "required": [
            *("top", "set", "unlike_data", "unlike_score", "odds", "is_photo", "decisions")
        ],
        "properties": {
            "top": {
                "type": "array",
                "description": "All classes, the most probable first.",
                "items": {
                    "type": "object",
                    "required": ["label", "probability"],
                    "properties": {"label": _TEXT, "probability": _NUMBER},
                },
            },
            "set": {**_NAMES, "description": "Classes that together hold the true one."},
            "unlike_data": {"type": ["boolean", "null"]},
            "unlike_score": _NUMBER,
            "odds": {"type": ["object", "null"], "additionalProperties": _NUMBER},
            "is_photo": _BOOLEAN,
            "decisions": {**_NAMES, "description": "How the picture was prepared."},
            "image": {**_TEXT, "description": "With show: a PNG in a data: URI."},
            "views": {"type": "integer", "description": "With show: the images that it got."},
            "outline": {
                "type": "array",
                "description": "With show: lines of points, as shares of the picture's sides.",
                "items": {"type": "array", "items": {"type": "array", "items": _NUMBER}},
            },
            "nearest": {
                "type": ["array", "null"],
                "description": "With nearest: training images; null without the data set.",
                "items": {
                    "type": "object",
                    "required": ["position", "label", "distance", "image"],
                    "properties": {
                        "position": {"type": "integer"},
                        **{"label": _TEXT, "distance": _NUMBER, "image": _TEXT},
                    },
                },
            },
        },
    },
    "ServedModels": {
        "type": "object",
        "required": ["models"],
        "properties": {
            "models": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": [
                        *("name", "data", "labels", "image_shape", "preparation", "coverage"),
                        "training_images",
                    ],
                    "properties": {
                        **{"name": _TEXT, "data": _TEXT, "labels": _NAMES, "image_shape": _SHAPE},
                        "preparation": _TEXT,
                        "coverage": {"type": ["number", "null"], "description": "Of the set."},
                        "training_images": {"type": ["integer", "null"]},
                    },
                },
            }
        },
    },
    "Predictions": {
        "type": "object",
        "required": ["predictions"],
        "properties": {
            "predictions": {
                "type": "object",
                "description": "By the model's name.",
                "additionalProperties": {"$ref": "#/components/schemas/Prediction"},
            }
        },
    },
}

_JSON_BYTES = "JSON, and behind it the tensors that it says are binary."
_HEADER_LENGTH: dict[str, Any] = {
    "name": protocol.HEADER_LENGTH,
    "in": "header",
    "description": "Bytes of the JSON, where binary tensors follow it.",
    "schema": {"type": "integer", "minimum": 0},
}
_REFUSALS = {
    400: "The request isn't what the route takes.",
    401: "The server has a token, and the request has none or another.",
    403: "The host isn't a name of the server, or a page of another site asks.",
    404: "The model or its version is unknown.",
    408: "The request didn't arrive in time.",
    413: "More than a request may have.",
    415: "The body has another form than those that are read.",
    503: "Too much waits already; try again in a moment.",
}


def describe(models: Sequence[ServedModel], version: str, *, with_token: bool) -> dict[str, Any]:
    """The document, of OpenAPI 3.1.

    Parameters
    ----------
    version : of the server
    with_token : whether requests must bring one
    """
    names = [model.name for model in models]
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "fittingroom serve",
            "version": version,
            "description": "Saved image classifiers: the Open Inference Protocol, and photos.",
        },
        "paths": _paths(models[0], names),
        "components": {"schemas": _SCHEMAS},
    }
    if with_token:
        scheme = {"type": "http", "scheme": "bearer"}
        document["components"]["securitySchemes"] = {"token": scheme}
        document["security"] = [{"token": []}]
    return document


def _paths(first: ServedModel, names: Sequence[str]) -> dict[str, Any]:
    health: dict[str, Any] = {"security": []}  # whoever starts and stops servers has no token
    paths = {
        "/v2": {"get": _get("Name, version and extensions of the server", "Server")},
        "/v2/health/live": {"get": _get("Whether the server lives", _flags("live")) | health},
        "/v2/health/ready": {"get": _get("Whether models can answer", _flags("ready")) | health},
        "/v1/photo": {"post": _photo(names)},
        "/v1/models": {
            "get": _get("The models, and what a page needs to know of them", "ServedModels")
        },
        "/metrics": {"get": _metrics()},
        PATH: {"get": _get("This document", {"type": "object"})},
    }
    model = _parameter("model", names)
    version = _parameter("version", [protocol.VERSION])
    for path, parameters in (
        ("/v2/models/{model}", [model]),
        ("/v2/models/{model}/versions/{version}", [model, version]),
    ):
        ready = {"type": "object", "properties": {"name": _TEXT, "ready": _BOOLEAN}}
        routes: dict[str, dict[str, Any]] = {
            path: {"get": _get("What a model takes and gives, and what it is", "Model", 404)},
            f"{path}/ready": {"get": _get("Whether a model can answer", ready, 404)},
            f"{path}/infer": {"post": _infer(first)},
        }
        paths |= {each: route | {"parameters": parameters} for each, route in routes.items()}
    return paths


def _parameter(name: str, values: Sequence[str]) -> dict[str, Any]:
    schema = {"type": "string", "enum": [*values]}
    found = {"name": name, "in": "path", "required": True, "schema": schema}
    return {**found, "example": values[0]}


def _get(summary: str, schema: str | Mapping[str, Any], *refusals: int) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _json(schema), **_refused(*refusals)}}


def _infer(model: ServedModel) -> dict[str, Any]:
    shape = [1, *model.image_shape]
    tensor = {"name": protocol.INPUT, "datatype": "UINT8", "shape": shape}
    example = {"inputs": [{**tensor, "data": [0] * math.prod(shape)}]}
    asked = {"schema": {"$ref": "#/components/schemas/Inference"}, "example": example}
    answered = _json("Answer")
    answered["content"]["application/octet-stream"] = {"schema": {"description": _JSON_BYTES}}
    length = {key: _HEADER_LENGTH[key] for key in ("description", "schema")}
    answered["headers"] = {protocol.HEADER_LENGTH: length}
    return {
        "summary": "Calibrated probabilities and classes of images",
        "parameters": [_HEADER_LENGTH],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": asked,
                "application/octet-stream": {"schema": {"description": _JSON_BYTES}},
            },
        },
        "responses": {"200": answered, **_refused(400, 404, 408, 413, 415, 503)},
    }


def _photo(names: Sequence[str]) -> dict[str, Any]:
    parameters: dict[str, dict[str, Any]] = {
        "model": {"type": "string", "enum": [*names]},
        "as": {"type": "string", "enum": ["photo", "image"]},
        "show": _BOOLEAN,
        "nearest": {"type": "integer", "minimum": 0, "maximum": MOST_NEAREST},
    }
    types = ("image/png", "image/jpeg", "image/webp", "application/octet-stream")
    return {
        "summary": "Classify one picture, by one model or by all",
        "parameters": [
            {"name": name, "in": "query", "schema": schema} for name, schema in parameters.items()
        ],
        "requestBody": {
            "required": True,
            "description": "The bytes of a PNG, JPEG or WebP picture.",
            "content": {each: {"schema": {"type": "string", "format": "binary"}} for each in types},
        },
        "responses": {"200": _json("Predictions"), **_refused(400, 404, 408, 413, 415, 503)},
    }


def _metrics() -> dict[str, Any]:
    text = {"description": "In the format of Prometheus.", "content": {"text/plain": {}}}
    return {"summary": "What the server counts", "responses": {"200": text, **_refused()}}


def _flags(*names: str) -> dict[str, Any]:
    properties = {name: {"const": True} for name in names}
    return {"type": "object", "required": [*names], "properties": properties}


def _json(schema: str | Mapping[str, Any]) -> dict[str, Any]:
    found = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    return {"description": "The answer.", "content": {"application/json": {"schema": found}}}


def _refused(*statuses: int) -> dict[str, Any]:
    """The refusals of a route: those that each has, and `statuses`."""
    return {str(status): _refusal(status) for status in sorted({401, 403, *statuses})}


def _refusal(status: int) -> dict[str, Any]:
    found = {**_json("Error"), "description": _REFUSALS[status]}
    if status == 503:
        retry = {"schema": {"type": "string", "const": RETRY}, "description": "Seconds."}
        found["headers"] = {"retry-after": retry}
    return found
