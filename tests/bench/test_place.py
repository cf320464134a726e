from __future__ import annotations

import pytest

from fittingroom.bench.place import Place
from fittingroom.errors import UsageError


def test_places() -> None:
    assert Place.of("local:1") == Place(kind="local", at_once=1)
    assert Place.of("local:16").at_once == 16
    assert Place.of("ray") == Place(kind="ray")
    assert Place.of("ray://10.0.0.3:10001").address == "ray://10.0.0.3:10001"
    assert Place.of("ray://[fe80::1]:10001").address == "ray://[fe80::1]:10001"


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:-1", "local:two", "ray:", "ray://", "ray://host", "gpu"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--on takes local:N"):
        Place.of(text)
