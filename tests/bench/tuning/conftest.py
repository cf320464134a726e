"""Databases of tests needn't survive a power cut, so nothing waits for the disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy


def _disable_sync(connection: Any, _: object) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def fast_databases() -> Iterator[None]:
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _disable_sync)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", _disable_sync)
