"""Cross-entropy of a batch in one pass on the CPU, with its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fittingroom.kernels.compiled import compiled
from fittingroom.kernels.tensors import can_compile


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy of float32 logits (n, classes) to smoothed labels (n,).

    PyTorch's takes a dozen operations, each of which costs more than its arithmetic: with its
    backward pass a twentieth of a step of `swift-90`.
    """
    if logits.requires_grad and can_compile(logits) and logits.dtype == torch.float32:
        loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
            logits, labels, smoothing
        )
        return loss
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        ctx.slopes = torch.empty(logits.shape)
        arrays = logits.detach().numpy(), labels.numpy()
        return logits.new_tensor(_cross_entropy(*arrays, smoothing, ctx.slopes.numpy()))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.slopes * gradients[0], None, None


@compiled
def _cross_entropy(logits: Any, labels: Any, smoothing: float, slopes: Any) -> float:
    """The mean loss; its gradient, softmax minus targets over n, is written to ``slopes``."""
    n, n_classes = logits.shape
    loss = 0.0
    for i in range(n):
        largest = logits[i, 0]
        for k in range(n_classes):
            largest = max(largest, logits[i, k])
        total = np.float32(0)
        for k in range(n_classes):
            slopes[i, k] = np.exp(logits[i, k] - largest)
            total += slopes[i, k]
        # The loss is log Σ exp(logit) minus the logits' mean, weighted by the targets.
        loss += largest + np.log(total)
        for k in range(n_classes):
            target = smoothing / n_classes + (1 - smoothing if k == labels[i] else 0)
            loss -= target * logits[i, k]
            slopes[i, k] = (slopes[i, k] / total - target) / n
    return float(loss / n)
