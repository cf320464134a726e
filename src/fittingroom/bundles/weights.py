"""A bundle's arrays as safetensors, and networks built from them."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from fittingroom.bundles.manifest import MAX_SIDE, Network
from fittingroom.bundles.options import audit_of
from fittingroom.errors import BundleError, InputError, UsageError
from fittingroom.models.network import NETS, NetworkClassifier
from fittingroom.nets.views import count_views

#: Limits for one image: multiplications (ten seconds on a laptop) and numbers in the maps of one
#: layer. The catalogue's largest network has 1.4e10 and 2e5 for 28 x 28 pixels.
MAX_MULTIPLICATIONS, MAX_NUMBERS = 5e11, 2**26
#: Most weights of a network that is built from a record alone, without a file of weights.
MAX_WEIGHTS = 2**27


def network_of(classifier: NetworkClassifier) -> Network:
    """A fitted network as a manifest describes it.

    Raises
    ------
    BundleError : it is a module of the caller's own, which has no name here
    """
    if not isinstance(classifier.net, str):
        raise BundleError(
            f"a {type(classifier.net).__name__} of your own can't be saved as data alone; only "
            "networks of the catalogue can."
        )
    facts = {
        "kind": "network",
        "net": classifier.net,
        "options": _all_options(classifier.net, dict(classifier.net_options or {})),
        "precision": classifier.precision_,
        "kept_epoch": classifier.kept_epoch_,
    }
    return Network.model_validate(facts)


def weights_of(net: nn.Module) -> bytes:
    """The weights and running statistics of a network, as a safetensors file."""
    return to_bytes(net.state_dict())


def to_bytes(arrays: Mapping[str, Tensor]) -> bytes:
    """Tensors by name as the bytes of a safetensors file; the same tensors give the same bytes."""
    # Cloned, since safetensors refuses tensors that share memory.
    data: bytes = save({name: t.detach().clone().contiguous() for name, t in arrays.items()})
    return data


def from_bytes(data: bytes, file: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises
    ------
    BundleError : it isn't one, or a number in it is not finite
    """
    try:
        arrays: dict[str, Tensor] = load(data)
    except Exception as error:  # untrusted bytes may make it raise anything
        raise BundleError(f"{file} isn't a safetensors file ({str(error)[:200]}).") from error
    for name, array in arrays.items():
        if array.is_floating_point() and not bool(torch.isfinite(array).all()):
            raise BundleError(f"{file} holds numbers that are not finite ({name[:50]}).")
    return arrays


def build_network(
    network: Network, image_shape: tuple[int, int], n_classes: int, arrays: Mapping[str, Tensor]
) -> nn.Module:
    """Build a manifest's network with these weights, on the CPU and ready to predict.

    It is first built without memory, so that sizes are compared before any is allocated.

    Raises
    ------
    BundleError : no such network, weights of another one, or an image would take too long
    """
    try:
        expected = _shapes(network, image_shape, n_classes)
    except (InputError, UsageError, RuntimeError, ValueError, TypeError) as error:
        raise BundleError(f"no network of ours is like that: {str(error)[:200]}") from error
    expected_shapes = {name: (tuple(t.shape), t.dtype) for name, t in expected.items()}
    if expected_shapes != {name: (tuple(t.shape), t.dtype) for name, t in arrays.items()}:
        raise BundleError("the weights don't fit the manifest's network.")
    _refuse_work(network, image_shape, expected)
    with torch.random.fork_rng(devices=[]):  # a network draws its initial weights
        net = NETS[network.net](image_shape, n_classes, **network.options)
    net.load_state_dict(dict(arrays))
    return net.eval()


def modest_options(
    net: str, options: Mapping[str, Any], image_shape: tuple[int, int], n_classes: int
) -> dict[str, Any]:
    """All options of a network, checked to take neither long nor much memory; it isn't built.

    Parameters
    ----------
    net, options : as a run's record has them, defaults left out

    Raises
    ------
    BundleError : there is no such network, or it would take too long or too much memory
    """
    audit = audit_of(NETS[net]) if net in NETS else None
    if audit is None or not set(options) <= set(audit.model_fields):
        raise BundleError(f"there is no network {net[:50]!r} with these options.")
    try:
        if not all(1 <= side <= MAX_SIDE for side in image_shape):
            raise ValueError(f"images of {image_shape} pixels")
        checked = audit.model_validate_json(json.dumps(_all_options(net, options)))
        network = Network(
            kind="network",
            net=net,
            options=checked.model_dump(),
            precision="float32",
            kept_epoch=1,
        )
        weights = _shapes(network, image_shape, n_classes)
    except (InputError, UsageError, RuntimeError, ValueError, TypeError) as error:
        raise BundleError(f"no network of ours is like that: {str(error)[:200]}") from error
    if sum(weight.numel() for weight in weights.values()) > MAX_WEIGHTS:
        raise BundleError("it has more weights than any network of ours.")
    _refuse_work(network, image_shape, weights)
    return network.options


def _shapes(network: Network, image_shape: tuple[int, int], n_classes: int) -> dict[str, Tensor]:
    """A network's weights without their values, which take no memory."""
    with torch.device("meta"):
        return dict(NETS[network.net](image_shape, n_classes, **network.options).state_dict())


def multiplications(
    network: Network, image_shape: tuple[int, int], weights: Mapping[str, Tensor]
) -> float:
    """An upper bound on the multiplications for one image.

    In each view of the image, every weight of a convolution is used at most once per pixel, any
    other weight once. Resizing is two products with matrices.
    """
    options = network.options
    views = count_views(
        mirrored=options.get("mirror_views", False), shifted=options.get("shift_views", False)
    )
    convolutions = sum(weight.numel() for weight in weights.values() if weight.ndim == 4)
    others = sum(weight.numel() for weight in weights.values() if weight.ndim != 4)
    (height, width), side = image_shape, options.get("resize")
    resizing = 0 if side is None else height * width * side + height * side * side
    return float(views * (_pixels(network, image_shape) * convolutions + others) + resizing)


def _pixels(network: Network, image_shape: tuple[int, int]) -> int:
    """The pixels of an image as the first layer sees it."""
    side = network.options.get("resize")
    return math.prod(image_shape) if side is None else side**2


def _refuse_work(
    network: Network, image_shape: tuple[int, int], weights: Mapping[str, Tensor]
) -> None:
    """Refuse a network that takes too long, or too much memory, for one image."""
    products = multiplications(network, image_shape, weights)
    widest = max((len(weight) for weight in weights.values() if weight.ndim == 4), default=1)
    numbers = _pixels(network, image_shape) * widest
    if products > MAX_MULTIPLICATIONS or numbers > MAX_NUMBERS:
        raise BundleError(
            f"it would take {products:.1e} multiplications and {numbers:.1e} numbers in memory for "
            "one image."
        )


def _all_options(net: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a network, defaults included, as JSON values."""
    parameters = inspect.signature(NETS[net]).parameters
    names = audit_of(NETS[net]).model_fields
    options = {name: settings.get(name, parameters[name].default) for name in names}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in options.items()}
