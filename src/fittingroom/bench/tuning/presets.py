"""Searches that published experiments made, as spaces: `tune MODEL --preset NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fittingroom.bench.tuning.space import Space, parse_space
from fittingroom.errors import UnknownNameError


def preset_of(name: str) -> Space:
    """The space of a published search, whose grid's points are all tried.

    Raises
    ------
    UnknownNameError : there is none; the message proposes what is near
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return parse_space(PRESETS[name])


#: As `parse_space` takes them; docs/published.md has the experiments.
PRESETS: dict[str, Mapping[str, Any]] = {
    # S0-RF, which chose on the test images.
    "depth": {"max_depth": "18..39", "n_estimators": 20},
    # S1-LR-SWEEP, where the rate of one fit rose; here each has a fit of its own.
    "learning-rate": {"learning_rate": [float(f"{1e-3 * 10 ** (e / 20):.4g}") for e in range(40)]},
    # S1-MLP and S4-CNN: how long to wait, and for what; the best watched epoch is kept.
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
