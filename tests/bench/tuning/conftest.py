"""Databases of tests needn't survive a power cut: nothing waits for the disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy


def _in_a_hurry(connection: Any, _: object) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def in_a_hurry() -> Iterator[None]:
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _in_a_hurry)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", _in_a_hurry)
