"""What happens while models are fitted, for whoever shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What happens while models are fitted, for whoever shows it.

    `kind`: a run `started`, an `epoch` ended (with its figures in `detail`), a run is `saved`
    (fitted now, or found), a model `failed` (reason in `detail`). `done` and `total` count runs,
    of which `at_once` are fitted at the same time; a step that ends several says how many `runs`.
    `expected` is the catalogue's guess of the seconds that this run takes. `note` is what else is
    to be said of a run that is saved.
    """

    kind: Literal["started", "epoch", "saved", "failed"]
    model: str
    seed: int
    done: int
    total: int
    runs: int = 1
    at_once: int = 1
    expected: float | None = None
    detail: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    note: str = ""


OnProgress = Callable[[Progress], None]
