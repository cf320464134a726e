"""Searches that published experiments made, as spaces: `tune MODEL --preset NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fittingroom.bench.space import Space, parse_space
from fittingroom.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published search: every point of its grid is a trial.

    Attributes
    ----------
    about : what is searched, in one line
    source : the published experiments that did so
    written : the space, as `parse_space` takes it
    """

    about: str
    source: str
    written: Mapping[str, Any]

    @property
    def space(self) -> Space:
        return parse_space(self.written)


def preset_of(name: str) -> Preset:
    """The preset of that name.

    Raises
    ------
    UnknownNameError : there is none; the message proposes what is near
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]


PRESETS: dict[str, Preset] = {
    "depth": Preset(
        about="the depth of a forest of 20 trees; its author chose on the test images",
        source="S0-RF",
        written={"max_depth": "18..39", "n_estimators": 20},
    ),
    "learning-rate": Preset(
        about="1e-3·10^(e/20), each rate in a fit of its own; its author raised one fit's rate",
        source="S1-LR-SWEEP",
        written={"learning_rate": [float(f"{1e-3 * 10 ** (e / 20):.4g}") for e in range(40)]},
    ),
    "epochs": Preset(
        about="early stopping: how long to wait, and for what; the best watched epoch is kept",
        source="S1-MLP, S4-CNN",
        written={
            "patience": "5|10|50",
            "watch": "loss|accuracy",
            "keep": "last",
            "restore": True,
        },
    ),
    "size": Preset(
        about="three sizes of convolutional network, each with its own recipe",
        source="S3-CNN1, S3-CNN2, S3-CNN3",
        written={"model": "cnn-32|cnn-32-64|cnn-64-128-64"},
    ),
    "pooling": Preset(
        about="max-pooling after the first convolutions, or none",
        source="S4-CNN",
        written={"pooling": "false|true"},
    ),
    "augmentation": Preset(
        about="shifts of up to a tenth and mirroring, or images as they are",
        source="S4-CNN",
        written={"augmentation": "none|keras-shift-flip"},
    ),
}
