"""The published networks in plain PyTorch: the same questions as `keras_networks.py`.

As its tutorials have it: stock layers, channels first, the backward pass recorded, the optimiser's
defaults. Whole batches are indexed, which is kinder than a ``DataLoader`` of single images.
``float32``, or ``bfloat16`` by autocast.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layers = list[nn.Module]
Optimizer = Callable[[Any], torch.optim.Optimizer]


def dense(*widths: int) -> Layers:
    return [layer for width in widths for layer in (nn.LazyLinear(width), nn.ReLU())]


def conv(channels: int, **options: Any) -> Layers:
    return [nn.LazyConv2d(channels, 3, **options), nn.ReLU()]


def pooled(channels: int, **options: Any) -> Layers:
    return [*conv(channels, **options), nn.MaxPool2d(2)]


def half(channels: int) -> Layers:
    return pooled(channels, stride=2, padding=1)


def normalized(layers: Layers, norm: type[nn.Module]) -> Layers:
    return [*layers, norm(), nn.Dropout(0.2)]


def adam(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(weights)


def sgd(momentum: float = 0.0) -> Optimizer:
    return lambda weights: torch.optim.SGD(weights, 0.01, momentum=momentum)


# Layers before the last, optimiser, batch size.
NETWORKS: dict[str, Callable[[], tuple[Layers, Optimizer, int]]] = {
    "mlp-10-10": lambda: ([nn.Flatten(), *dense(10, 10)], adam, 32),
    "mlp-532": lambda: ([nn.Flatten(), *dense(532)], sgd(), 32),
    "mlp-256-256": lambda: ([nn.Flatten(), *dense(256, 256)], sgd(0.9), 64),
    "mlp-256-256-onehot": lambda: ([nn.Flatten(), *dense(256, 256)], sgd(), 64),
    "cnn-6-16-120": lambda: (
        [*pooled(6), *pooled(16), *conv(120), nn.Flatten(), *dense(84)],
        adam,
        128,
    ),
    "cnn-16-16-100": lambda: (
        [*pooled(16), *pooled(16), *conv(100), nn.Flatten(), *dense(120)],
        adam,
        128,
    ),
    "cnn-32-64-64": lambda: (
        [*pooled(32), *pooled(64), *pooled(64), nn.Flatten(), *dense(64)],
        adam,
        32,
    ),
    "cnn-64x4": lambda: (
        [*pooled(64), *conv(64), *conv(64), *pooled(64), nn.Flatten(), *dense(13)],
        adam,
        32,
    ),
    "cnn-32": lambda: ([*pooled(32), nn.Flatten(), *dense(128)], adam, 512),
    "cnn-32-64": lambda: (
        [
            *(*pooled(32), *half(64), nn.Flatten()),
            *(*dense(128), nn.Dropout(0.25), *dense(256), nn.Dropout(0.25), *dense(128)),
        ],
        adam,
        512,
    ),
    "cnn-64-128-64": lambda: (
        [
            *(*pooled(64), *half(128), *half(64), nn.Flatten()),
            *(*dense(128), nn.Dropout(0.25), *dense(256), nn.Dropout(0.5)),
            *(*dense(256), nn.Dropout(0.25), *dense(128), nn.Dropout(0.1)),
        ],
        adam,
        512,
    ),
    "cnn-16-32-64-128": lambda: (
        [
            *(part for c in (16, 32, 64, 128) for part in normalized(conv(c), nn.LazyBatchNorm2d)),
            nn.Flatten(),
            *(part for w in (128, 64, 32) for part in normalized(dense(w), nn.LazyBatchNorm1d)),
        ],
        adam,
        128,
    ),
}


def shifted(images: Tensor) -> Tensor:
    """Shifts by up to a tenth of the sides, and mirror images: what Keras's generator makes."""
    n = len(images)
    moves = torch.zeros(n, 2, 3)
    moves[:, 0, 0] = torch.randint(2, (n,)) * 2.0 - 1
    moves[:, 1, 1] = 1
    moves[:, :, 2] = torch.rand(n, 2) * 0.4 - 0.2
    grid = F.affine_grid(moves, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def measure(job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    n, name = job["images"], job["model"]
    x = torch.from_numpy(images[:n, None].astype("float32") / 255)
    if name == "cnn-6-16-120":
        x = F.interpolate(x, (32, 32), mode="bilinear")
    y = torch.from_numpy(labels[:n].astype(np.int64))
    hidden, optimizer, batch_size = NETWORKS[name]()
    net = nn.Sequential(*hidden, nn.LazyLinear(10))
    net(x[:2])
    descent = optimizer(net.parameters())

    def epoch() -> float:
        correct = 0
        net.train()
        for chosen in torch.split(torch.randperm(n), batch_size):
            batch = shifted(x[chosen]) if name == "cnn-16-32-64-128" else x[chosen]
            with torch.autocast("cpu", torch.bfloat16, enabled=job["variant"] == "bfloat16"):
                logits = net(batch)
            descent.zero_grad()
            loss: Any = F.cross_entropy(logits.float(), y[chosen])
            loss.backward()
            descent.step()
            correct += int((logits.argmax(dim=1) == y[chosen]).sum())
        return float(correct / n)

    epoch()
    start = time.perf_counter()
    accuracies = [epoch() for _ in range(job["epochs"])]
    seconds = time.perf_counter() - start
    return {
        **job,
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "seconds": seconds,
        "images_per_second": n * job["epochs"] / seconds,
        "train_accuracy": accuracies[-1],
    }


def main() -> None:
    warnings.simplefilter("ignore")  # lazy layers say that they are new
    with np.load(sys.argv[1]) as data:
        images, labels = data["images"], data["labels"]
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line), images, labels)), flush=True)


if __name__ == "__main__":
    main()
