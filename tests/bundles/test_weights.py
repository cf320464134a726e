"""weights.py: weights survive their file, and only networks that we can afford are built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from fittingroom.bundles.manifest import FILE, MAX_SIDE, Manifest, Network
from fittingroom.bundles.weights import (
    build_network,
    from_bytes,
    modest_options,
    multiplications,
    to_bytes,
    weights_of,
)
from fittingroom.errors import BundleError
from fittingroom.models.network import NETS
from fittingroom.nets.cnn import CNN

Copied = Callable[[str], Path]
Resigned = Callable[..., Path]
Refused = Callable[..., None]

#: Networks, some with options that make them small.
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (7, 5)},
    "cnn": {"features": (3, "pool", 4), "resize": 20, "stride": 1},
    "normalized-cnn": {"channels": (4, 8), "hidden": (8,)},
    "swift": {"widths": (4, 8), "hidden": 8},
    "wide-resnet": {"depth": 10, "width": 1},
}


def described(net: str, **options: Any) -> Network:
    checked = modest_options(net, options, (28, 28), 10)
    return Network(kind="network", net=net, options=checked, precision="float32", kept_epoch=1)


def test_weights_of_another_network(copied: Copied, resigned: Resigned, refused: Refused) -> None:
    folder = copied("mlp-10-10")

    def network(net: str, **options: Any) -> dict[str, Any]:
        trained = {"precision": "float32", "kept_epoch": 1}
        return {"kind": "network", "net": net, "options": options, **trained}

    other = network("mlp", hidden=[10, 11])
    refused(resigned(folder, classifier=other), "don't fit the manifest's network")
    huge = network("mlp", hidden=[16_384] * 32)
    refused(resigned(folder, classifier=huge), "don't fit the manifest's network")
    deep = network("wide-resnet", depth=11, width=1, mirror_views=False)
    refused(resigned(folder, classifier=deep), "no network of ours is like that")


@pytest.mark.parametrize(
    "features",
    [
        pytest.param([128, "pool"] * 8, id="for minutes"),
        pytest.param([4096, *([1, "pool"] * 8)], id="with gigabytes"),
    ],
)
def test_a_network_that_takes_too_much_work(
    features: list[Any], copied: Copied, resigned: Resigned, refused: Refused
) -> None:
    """The weights don't show the size to which a network enlarges images."""
    folder = copied("cnn-6-16-120")
    described = Manifest.parse((folder / FILE).read_bytes()).facts.classifier.model_dump(
        mode="json"
    )
    assert described["options"]["resize"] == 32
    options = described["options"] | {"features": features, "hidden": [], "resize": 1024}
    net = CNN((28, 28), 10, **options)
    (folder / "weights.safetensors").write_bytes(weights_of(net))
    assert (folder / "weights.safetensors").stat().st_size < 2**23
    classifier = {**described, "options": options}
    refused(resigned(folder, classifier=classifier), "multiplications and .* numbers in memory")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(
    bad: float, copied: Copied, resigned: Resigned, refused: Refused
) -> None:
    folder = copied("mlp-10-10")
    weights = load_file(folder / "weights.safetensors")
    weights[next(iter(weights))].view(-1)[3] = bad
    save_file(weights, folder / "weights.safetensors")
    refused(resigned(folder), "not finite")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 16,
        (2**62).to_bytes(8, "little") + b"{}",
        (60).to_bytes(8, "little")
        + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,1000000]}}',
        (59).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9e9],"data_offsets":[0,16]}}  ',
        b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_a_file_that_is_not_safetensors(
    data: bytes, copied: Copied, resigned: Resigned, refused: Refused
) -> None:
    folder = copied("mlp-10-10")
    (folder / "weights.safetensors").write_bytes(data or b"0")
    refused(resigned(folder), r"isn't a safetensors file|don't fit the manifest")


def test_tensors_survive_their_bytes_even_if_they_share_memory() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {"whole": whole, "column": whole[:, 1], "turned": whole.T, "half": whole.bfloat16()}
    data = to_bytes(tensors)
    assert data == to_bytes(tensors)
    back = from_bytes(data, "weights")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("net", NETS)
def test_a_rebuilt_network_predicts_the_same_and_draws_no_random_numbers(net: str) -> None:
    network = described(net, **SMALL[net])
    first = NETS[net]((28, 28), 10, **network.options).eval()
    state = torch.get_rng_state()
    again = build_network(network, (28, 28), 10, from_bytes(weights_of(first), "weights"))
    assert torch.equal(torch.get_rng_state(), state)
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(again(images), first(images))


@pytest.mark.parametrize(
    ("net", "options"),
    [
        *((net, {}) for net in NETS),
        ("cnn", {"resize": 200}),
        ("swift", {"mirror_views": True}),
        ("swift", {"mirror_views": True, "shift_views": True}),
        ("wide-resnet", {"mirror_views": True}),
    ],
)
def test_no_network_multiplies_more_often_than_is_said(net: str, options: dict[str, Any]) -> None:
    """Counted by PyTorch, which calls a multiplication and an addition two operations."""
    network = described(net, **SMALL[net] | options)
    built = NETS[net]((28, 28), 10, **network.options)
    with FlopCounterMode(display=False) as counter:
        # Our own kernels, which it can't count, leave gradients of images to PyTorch.
        built.eval()(torch.zeros(2, 1, 28, 28, requires_grad=True))
    counted = counter.get_total_flops() / 2 / 2  # of two images
    said = multiplications(network, (28, 28), built.state_dict())
    assert 0.1 * said < counted <= said


@pytest.mark.parametrize(
    ("net", "options", "shape", "said"),
    [
        ("resnet-5", {}, (28, 28), "there is no network 'resnet-5' with these options"),
        ("mlp", {"depth": 3}, (28, 28), "there is no network 'mlp' with these options"),
        ("mlp", {"hidden": ["10"]}, (28, 28), "no network of ours is like that"),
        ("mlp", {}, (28, 0), "no network of ours is like that: images of"),
        ("mlp", {}, (MAX_SIDE + 1, 28), "no network of ours is like that: images of"),
        ("mlp", {"hidden": [16_384] * 2}, (28, 28), "more weights than any network of ours"),
    ],
)
def test_a_record_of_a_network_that_is_not_modest(
    net: str, options: dict[str, Any], shape: tuple[int, int], said: str
) -> None:
    with pytest.raises(BundleError, match=said):
        modest_options(net, options, shape, 10)
