"""options.py: the options that a saved network may have, each with a bound."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from pydantic import ValidationError
from torch import nn

from fittingroom.bundles.options import audit_of
from fittingroom.models.network import NETS
from fittingroom.nets.bounds import Length, Share, Width, Widths, Within

#: Options of each network at their bounds.
LEAST: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": []},
    "cnn": {"features": [1], "hidden": [], "dropout": [], "stride": 1, "resize": 1},
    "normalized-cnn": {"channels": [1], "hidden": [], "dropout": 0.0, "pooling": False},
    "swift": {
        "widths": [1],
        "hidden": 1,
        "pool_first": False,
        "mirror_views": False,
        "shift_views": False,
    },
    "wide-resnet": {"depth": 10, "width": 1, "mirror_views": False},
}
W = 16_384
GREATEST: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [W] * 32},
    "cnn": {
        "features": [W, "pool"] * 32,
        "hidden": [W] * 32,
        "dropout": [1.0] * 32,
        "stride": 2,
        "resize": 1024,
    },
    "normalized-cnn": {"channels": [W] * 32, "hidden": [W] * 32, "dropout": 1.0, "pooling": True},
    "swift": {
        "widths": [W] * 16,
        "hidden": W,
        "pool_first": True,
        "mirror_views": True,
        "shift_views": True,
    },
    "wide-resnet": {"depth": 200, "width": 64, "mirror_views": True},
}
BEYOND = [
    *[("mlp", {"hidden": wrong}) for wrong in ([0], [W + 1], [1] * 33, [1.0], [True], ["1"], 1)],
    *[("cnn", {"features": wrong}) for wrong in ([], [1] * 65, [0], [W + 1], ["pol"], "pool")],
    *[("cnn", {"dropout": wrong}) for wrong in ([-0.1], [1.1], [0.1] * 33, 0.1)],
    *[("cnn", {"stride": wrong}) for wrong in (0, 3, "1", None)],
    *[("cnn", {"resize": wrong}) for wrong in (0, 1025, 2.0)],
    *[("normalized-cnn", {"channels": wrong}) for wrong in ([], [1] * 33, [0])],
    *[("normalized-cnn", {"dropout": wrong}) for wrong in (-0.1, 1.1, None)],
    *[("normalized-cnn", {"pooling": wrong}) for wrong in (1, "true", None)],
    *[("swift", {"widths": wrong}) for wrong in ([], [1] * 17, [0], [W + 1])],
    *[("swift", {"hidden": wrong}) for wrong in (0, W + 1, [1], None)],
    *[("wide-resnet", {"depth": wrong}) for wrong in (9, 201, 10.0)],
    *[("wide-resnet", {"width": wrong}) for wrong in (0, 65)],
]


def audited(net: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return audit_of(NETS[net]).model_validate_json(json.dumps(options)).model_dump()


@pytest.mark.parametrize("net", NETS)
def test_options_at_their_bounds_are_accepted_as_they_are(net: str) -> None:
    for options in (LEAST[net], GREATEST[net]):
        assert audited(net, options) == options


@pytest.mark.parametrize(("net", "change"), BEYOND, ids=str)
def test_options_beyond_their_bounds_are_refused(net: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        audited(net, LEAST[net] | change)


@pytest.mark.parametrize("net", NETS)
def test_no_option_may_be_missing_or_unknown(net: str) -> None:
    for name in LEAST[net]:
        with pytest.raises(ValidationError, match=f"{name}\n.*required"):
            audited(net, {key: value for key, value in LEAST[net].items() if key != name})
    with pytest.raises(ValidationError, match="surprise"):
        audited(net, LEAST[net] | {"surprise": 1})
    with pytest.raises(ValidationError, match="n_classes"):
        audited(net, LEAST[net] | {"n_classes": 2})


class Bounded(nn.Module):
    def __init__(
        self,
        image_shape: tuple[int, int],
        n_classes: int,
        *,
        widths: Widths = (),
        width: Width | None = None,
        rate: Share = 0.0,
        pairs: Annotated[Sequence[Annotated[Sequence[Width], Length(2, 2)]], Length(0, 4)] = (),
        kind: Literal["a", "b"] = "a",
        deep: bool = False,
    ) -> None:
        super().__init__()


def test_nested_bounds_hold() -> None:
    options: dict[str, Any] = {
        "widths": [],
        "width": None,
        "rate": 0.5,
        "pairs": [[1, 2]],
        "kind": "b",
        "deep": True,
    }
    audit = audit_of(Bounded)
    assert audit.model_validate_json(json.dumps(options)).model_dump() == options
    for wrong in ([[1]], [[1, 2, 3]], [[1, 0]], [[1, 2]] * 5):
        with pytest.raises(ValidationError, match="pairs"):
            audit.model_validate_json(json.dumps(options | {"pairs": wrong}))


@pytest.mark.parametrize(
    "kind",
    [
        int,
        float,
        str,
        Any,
        object,
        dict[str, int],
        Sequence[Width],
        list[Width],
        int | None,
        Annotated[int, "no bound"],
        Annotated[int, Length(1, 2)],
        Annotated[Width, Within(1, 2)],
        Annotated[Sequence[int], Length(1, 2)],
        Annotated[Sequence[Width], Within(1, 2)],
        Annotated[list[Width], Length(1, 2)],
        Annotated[bool, Within(0, 1)],
        Annotated[str, Length(0, 9)],
    ],
    ids=str,
)
def test_an_option_without_a_bound_cannot_be_saved(kind: Any) -> None:
    def net(image_shape: tuple[int, int], n_classes: int, *, size: Any = 1) -> nn.Module:
        raise NotImplementedError

    net.__annotations__["size"] = kind
    with pytest.raises(TypeError, match=r"size of net can't be saved: .* needs a bound"):
        audit_of(net)
