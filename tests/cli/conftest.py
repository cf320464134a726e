from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command finds runs of the checkout, such as the demo's."""
    monkeypatch.chdir(tmp_path)
