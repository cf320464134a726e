"""Spaces that published experiments searched: `tune MODEL --preset NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fittingroom.bench.tuning.space import Space, parse_space
from fittingroom.errors import UnknownNameError


def preset_of(name: str) -> Space:
    """The space of a published search, for a grid search.

    Raises
    ------
    UnknownNameError : there is none; the message suggests similar names
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return parse_space(PRESETS[name])


#: In the syntax of `parse_space`; the experiments are in docs/published.md.
PRESETS: dict[str, Mapping[str, Any]] = {
    # S0-RF, which selected on the test images.
    "depth": {"max_depth": "18..39", "n_estimators": 20},
    # S1-LR-SWEEP, which raised the rate within one fit; here each rate gets its own fit.
    "learning-rate": {"learning_rate": [float(f"{1e-3 * 10 ** (e / 20):.4g}") for e in range(40)]},
    # S1-MLP and S4-CNN: early stopping, by patience and metric; the best epoch is restored.
    "epochs": {
        "patience": "5|10|50",
        "watch": "loss|accuracy",
        "keep": "last",
        "restore": True,
    },
    # S3-CNN1, S3-CNN2 and S3-CNN3, each with its own recipe.
    "size": {"model": "cnn-32|cnn-32-64|cnn-64-128-64"},
    # S4-CNN
    "pooling": {"pooling": "false|true"},
    "augmentation": {"augmentation": "none|keras-shift-flip"},
}
