from __future__ import annotations

import pytest
import torch
from torch import nn

from fittingroom.errors import UsageError
from fittingroom.kernels import capabilities
from fittingroom.training import precision

CPU = torch.device("cpu")
CONVOLUTION, DENSE = nn.Sequential(nn.Conv2d(1, 1, 3)), nn.Sequential(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("asked", "net", "has_bfloat16", "resolved"),
    [
        ("auto", CONVOLUTION, True, "bfloat16"),
        ("auto", CONVOLUTION, False, "float32"),
        ("auto", DENSE, True, "float32"),
        ("bfloat16", DENSE, False, "bfloat16"),
        ("float32", CONVOLUTION, True, "float32"),
    ],
)
def test_auto_is_bfloat16_where_it_is_faster(
    asked: str, net: nn.Module, has_bfloat16: bool, resolved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities, "multiplies_bfloat16", lambda: has_bfloat16)
    assert precision.resolve(asked, net, CPU) == resolved  # type: ignore[arg-type]


def test_a_processor_of_another_kind_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "_features", lambda: {"neon": True})
    assert precision.resolve("auto", CONVOLUTION, CPU) == "float32"


def test_autocast_computes_in_the_precision_named() -> None:
    layer, x = nn.Linear(2, 2), torch.rand(1, 2)
    for name in ("float32", "bfloat16"):
        with precision.autocast(name, CPU):
            assert layer(x).dtype == getattr(torch, name)


@pytest.mark.parametrize("name", ["cuda:99", "toaster"])
def test_a_missing_device_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match=f"device '{name}' isn't available here"):
        precision.resolve_device(name)


def test_auto_device_is_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.resolve_device("auto") == CPU


def test_small_dense_networks_train_on_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for net, batch_size, expected in (
            (nn.Linear(784, 256), 64, 1),
            (nn.Linear(784, 256), 4096, 3),
            (CONVOLUTION, 1, 3),
        ):
            with precision.threads(net, batch_size):
                assert torch.get_num_threads() == expected
            assert torch.get_num_threads() == 3
        with pytest.raises(KeyError), precision.threads(DENSE, 1):
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
