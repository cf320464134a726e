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
    shown = run_cli("models").stdout.splitlines()
    assert len(shown) == 1 + len(MODELS)
    assert max(map(len, shown)) <= 80
    assert [line.split()[0] for line in shown] == ["model", *MODELS]
    whole = run_cli("models", "--wide").stdout
    assert "6,662,474" in whole
    assert all(row.about in whole for row in MODELS.values())
