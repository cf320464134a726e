from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_models_lists_the_catalogue(run_cli: Cli) -> None:
    from fittingroom.models.catalog import MODELS

    models = json.loads(run_cli("models", "--json").stdout)["models"]
    assert [model["model"] for model in models] == list(MODELS)
    for model in models:
        assert set(model) == {
            *("model", "family", "about", "source", "parameters", "expected_seconds"),
            "deterministic",
        }
    shown = run_cli("models").stdout
    assert len(shown.splitlines()) == 1 + len(MODELS)
    assert "6,662,474" in shown
