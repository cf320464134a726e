"""How near does a training step of `swift` come to the machine's ceiling?

    python benchmarks/ceiling.py --out benchmarks/results/ceiling.json

The ceiling is the network's own convolutions and dense layers, each forward and backward pass
timed alone at its best (oneDNN's or our gradient of the kernel, whichever is faster) on tensors
that are ready for it. Utilisation is the sum of these times over the time of a whole step, which
is the same as the ratio of operations a second. Layers and steps take turns within a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from torch import Tensor, nn

from fittingroom.data.dataset import Split
from fittingroom.data.sources import load_dataset
from fittingroom.execution.children import SPIN
from fittingroom.kernels import amx
from fittingroom.kernels.tensors import channels_last
from fittingroom.models.making import make_classifier
from fittingroom.nets.convolution import kernel_gradient
from fittingroom.training.augment import AUGMENTATIONS, Batch, Mixture
from fittingroom.training.loop import to_unit
from fittingroom.training.loss import cross_entropy
from fittingroom.training.memory import keep_freed_memory
from fittingroom.training.step import make_step

Work = Callable[[], Any]
Layer = nn.Conv2d | nn.Linear
#: A layer, its input and what else its forward pass is told.
Call = tuple[Layer, Tensor, dict[str, Any]]
CPU = torch.device("cpu")


def step_of(preset: str, split: Split) -> tuple[Work, list[Call]]:
    """A training step of a preset, and its layers with the inputs that they have in it."""
    classifier = make_classifier(preset, mirror_keeps_class=True)
    batch_size = classifier.recipe.batch_size
    tiny = classifier.set_params(recipe=_shortened(classifier.recipe))
    net = tiny.fit(split.images[:batch_size], split.labels[:batch_size]).net_.train()
    images = torch.from_numpy(split.images[:batch_size].copy())
    labels = torch.from_numpy(split.labels[:batch_size].astype(np.int64))
    generator, positions = torch.Generator().manual_seed(0), torch.arange(batch_size)
    step = make_step(net, tiny.recipe, _loss, "bfloat16", CPU)
    augment = AUGMENTATIONS[tiny.recipe.augmentation]

    def work() -> None:
        batch = Batch(
            images=to_unit(images),
            positions=positions,
            epoch=1,
            mirror_keeps_class=True,
            generator=generator,
        )
        changed = augment(batch)[:, 0, ..., None].permute(0, 3, 1, 2)  # as the loop lays it out
        step(changed, labels, 0.01)

    layers: list[Call] = []
    hooks = [
        module.register_forward_hook(
            lambda layer, given, options, _: layers.append((layer, given[0], options)),
            with_kwargs=True,
        )
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    work()
    for hook in hooks:
        hook.remove()
    return work, layers


def _loss(logits: Tensor, labels: Tensor, _: Mixture | None) -> Tensor:
    return cross_entropy(logits, labels, 0.1)


def _shortened(recipe: Any) -> Any:
    return type(recipe)(**{**recipe.to_dict(), "epochs": 1, "stop_at": None})


def passes(layer: Layer, x: Tensor, options: dict[str, Any]) -> list[list[Work]]:
    """For each pass of a layer, the ways to make it; the gradient of its input where it has one."""
    half, passed_on = torch.bfloat16, x.requires_grad
    images = x.detach()
    x, weight = images.to(half), layer.weight.detach().to(half)
    if isinstance(layer, nn.Linear):
        g = x @ weight.t()
        backward_input = [[lambda: g @ weight]] if passed_on else []
        return [[lambda: x @ weight.t()], *backward_input, [lambda: g.t() @ x]]
    x, weight = channels_last(x), channels_last(weight)
    assert not isinstance(layer.padding, str)
    stride, padding = list(layer.stride), list(layer.padding)
    forward: Work = lambda: torch.conv2d(x, weight, None, stride, padding)  # noqa: E731
    g = forward()

    def backward(*mask: bool) -> Any:
        return torch.ops.aten.convolution_backward(
            *(g, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [*mask, False])
        )

    if not layer.weight.requires_grad:  # the first layer, which has a kernel of its own
        return [[forward, lambda: layer(images, **options)]]
    kernel = [lambda: backward(False, True)]
    if amx.available():
        size = weight.shape[2:]
        kernel.append(lambda: kernel_gradient(x, g, size, stride[0], padding, False))
    return [[forward], *([[lambda: backward(True, False)]] if passed_on else []), kernel]


def measure(preset: str, split: Split, rounds: int) -> dict[str, Any]:
    work, layers = step_of(preset, split)
    ways = [way for call in layers for way in passes(*call)]
    steps: list[float] = []
    alone: list[list[list[float]]] = [[[] for _ in way] for way in ways]
    for _ in range(rounds):
        steps += [seconds(work) for _ in range(3)]
        for way, times in zip(ways, alone, strict=True):
            for one, of_one in zip(way, times, strict=True):
                of_one += [seconds(one) for _ in range(3)]
    summaries: list[Callable[[list[float]], float]] = [statistics.median, min]
    by_median, by_best = (
        sum(min(map(summary, times)) for times in alone) / summary(steps) for summary in summaries
    )
    return {
        "utilisation": round(by_median, 3),
        "utilisation_of_best_times": round(by_best, 3),
        "step_ms": round(1e3 * statistics.median(steps), 2),
        "layers": [{"layer": str(layer), "input": list(x.shape)} for layer, x, _ in layers],
    }


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="swift-90,swift-94,swift-95")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if "GOMP_SPINCOUNT" not in os.environ:  # read when torch is loaded, which it is by now
        os.execve(
            sys.executable, [sys.executable, *sys.argv], {**os.environ, "GOMP_SPINCOUNT": SPIN}
        )
    keep_freed_memory()
    split = load_dataset("fashion-mnist").train
    found = {name: measure(name, split, options.rounds) for name in options.presets.split(",")}
    for name, figures in found.items():
        best = figures["utilisation_of_best_times"]
        print(f"{name:10} {figures['utilisation']:.2f} (best times {best:.2f})")
    record.write(options.out, {"utilisation": found})


if __name__ == "__main__":
    main()
