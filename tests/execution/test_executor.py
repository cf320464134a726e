from __future__ import annotations

import pytest

from fittingroom.errors import UsageError
from fittingroom.execution import local
from fittingroom.execution.executor import (
    HERE,
    ExecutorAddress,
    most_memory,
    open_executor,
    parse_address,
)
from fittingroom.execution.job import Limits
from fittingroom.execution.local import LocalExecutor
from fittingroom.execution.ray import RayExecutor


def test_addresses() -> None:
    assert parse_address(HERE) == ExecutorAddress(kind="local", at_once=1)
    assert parse_address("local:16").at_once == 16
    assert parse_address("ray") == ExecutorAddress(kind="ray")
    assert parse_address("ray://10.0.0.3:10001").cluster == "ray://10.0.0.3:10001"
    assert parse_address("ray://[fe80::1]:10001").cluster == "ray://[fe80::1]:10001"


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:-1", "local:two", "ray:", "ray://", "ray://host", "gpu"]
)
def test_invalid_addresses_are_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="--on takes local:N"):
        parse_address(text)
    with pytest.raises(UsageError, match="--on takes local:N"):
        open_executor(text, Limits())


def test_an_address_names_its_executor() -> None:
    """Nothing is started or connected to before the `with`."""
    with open_executor("local:3", Limits()) as executor:
        assert isinstance(executor, LocalExecutor)
        assert executor.at_once == 3
    assert isinstance(open_executor("ray://127.0.0.1:9", Limits()), RayExecutor)


def test_a_fit_here_has_at_most_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "memory_here", lambda: 1000)
    assert most_memory("local:2", Limits()) == 1000
    assert most_memory("local:1", Limits(memory=999)) == 999
    assert most_memory("local:1", Limits(memory=1001)) == 1000
    assert most_memory("ray", Limits()) is None
    assert most_memory("ray://head:10001", Limits(memory=2000)) == 2000


def test_this_machine_has_memory() -> None:
    assert local.memory_here() > 2**28
