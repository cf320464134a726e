from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from fittingroom.nets.cnn import CNN


@pytest.fixture
def modules() -> Sequence[nn.Module]:
    """The layers of a network, some of whose widths fill vectors and some of which don't."""
    torch.manual_seed(0)
    net = CNN(features=(6, "pool", 20, 33, "pool"), hidden=(12,))
    return [*net.features, *net.classifier]
