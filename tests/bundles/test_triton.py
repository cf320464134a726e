"""triton.py: a model repository as Triton's documentation describes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.triton import write_triton

_Field = descriptor_pb2.FieldDescriptorProto
#: The fields of the server's model_config.proto that we write, numbered as there: kind and number.
_MESSAGES: dict[str, dict[str, tuple[str, int]]] = {
    "ModelInput": {"name": ("string", 1), "data_type": ("DataType", 2), "dims": ("int64*", 4)},
    "ModelOutput": {
        "name": ("string", 1),
        "data_type": ("DataType", 2),
        "dims": ("int64*", 3),
        "label_filename": ("string", 4),
    },
    "ModelDynamicBatching": {},
    "ModelParameter": {"string_value": ("string", 1)},
    "ParametersEntry": {"key": ("string", 1), "value": ("ModelParameter", 2)},  # of a map
    "ModelConfig": {
        "name": ("string", 1),
        "max_batch_size": ("int32", 4),
        "input": ("ModelInput*", 5),
        "output": ("ModelOutput*", 6),
        "dynamic_batching": ("ModelDynamicBatching", 11),
        "parameters": ("ParametersEntry*", 14),
        "backend": ("string", 17),
    },
}
_TYPES = {"TYPE_UINT8": 2, "TYPE_FP32": 11}
_PLAIN = {"string": _Field.TYPE_STRING, "int64": _Field.TYPE_INT64, "int32": _Field.TYPE_INT32}


def model_config() -> Any:
    """An empty ``ModelConfig``, from the part of its description above."""
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto3")
    enum = file.enum_type.add(name="DataType")
    enum.value.add(name="TYPE_INVALID", number=0)
    for name, number in _TYPES.items():
        enum.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (kind, number) in fields.items():
            plain = kind.rstrip("*")
            added = message.field.add(name=field, number=number)
            added.label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            if plain in _PLAIN:
                added.type = _PLAIN[plain]
            else:
                added.type = _Field.TYPE_ENUM if plain == "DataType" else _Field.TYPE_MESSAGE
                added.type_name = f".t.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ModelConfig"))()


@pytest.fixture
def folder(bundles: Mapping[str, Bundle], tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    write_triton(bundles["logistic"], tmp_path / "mine", "mine")
    return tmp_path / "mine"


def test_files(folder: Path, bundles: Mapping[str, Bundle]) -> None:
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert files == ["1/model.onnx", "config.pbtxt", "labels.txt"]
    labels = (folder / "labels.txt").read_text("utf8").splitlines()
    assert labels == list(bundles["logistic"].class_names)


def test_the_configuration_matches_the_graph(folder: Path) -> None:
    config = text_format.Parse((folder / "config.pbtxt").read_text("utf8"), model_config())
    graph = onnx.load(folder / "1" / "model.onnx").graph
    assert config.name == folder.name
    assert config.backend == "onnxruntime"
    assert config.max_batch_size > 1
    assert config.HasField("dynamic_batching")
    for ours, theirs in ((config.input, graph.input), (config.output, graph.output)):
        assert [tensor.name for tensor in ours] == [tensor.name for tensor in theirs]
        for tensor, value in zip(ours, theirs, strict=True):
            of_graph = value.type.tensor_type
            # The server adds the batch's dimension.
            assert list(tensor.dims) == [d.dim_value for d in of_graph.shape.dim[1:]]
            kind = {_TYPES["TYPE_UINT8"]: "UINT8", _TYPES["TYPE_FP32"]: "FLOAT"}[tensor.data_type]
            assert of_graph.elem_type == onnx.TensorProto.DataType.Value(kind)
    assert config.output[0].label_filename == "labels.txt"
    (parameter,) = config.parameters
    assert (parameter.key, parameter.value.string_value) == ("preparation", "garment")


def test_the_parser_can_fail() -> None:
    for text in ('nmae: "x"', "max_batch_size: many", "input [ { dims: [ 1 } ]"):
        with pytest.raises(text_format.ParseError):
            text_format.Parse(text, model_config())
