"""The state of a training on disk, so that a killed one goes on where it stopped.

One safetensors file holds every tensor (weights, optimiser, averages, random state) and, as JSON in
its header, everything else. It is written aside and renamed, so a kill leaves the last one whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)

#: Seconds between two checkpoints: short epochs shouldn't spend their time writing.
INTERVAL = 60.0


@dataclass(frozen=True)
class State:
    """What a training needs to go on: tensors by name, and facts that JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Checkpoint:
    """A file that holds the newest state of one training.

    Parameters
    ----------
    path : the file; its folder is made if need be
    interval : seconds at least between two writes
    """

    def __init__(self, path: Path, *, interval: float = INTERVAL) -> None:
        self.path = path
        self._interval = interval
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._written >= self._interval

    def write(self, state: State) -> None:
        """Replace what was there. A disk that is full costs the checkpoint, not the training."""
        partial = self.path.with_name(f".partial-{os.getpid()}-{secrets.token_hex(4)}")
        # A clone each: safetensors refuses tensors that share memory.
        tensors = {name: t.detach().cpu().clone().contiguous() for name, t in state.tensors.items()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, partial, {"facts": json.dumps(dict(state.facts))})
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(self.path)
        except (OSError, SafetensorError) as error:
            log.warning("no checkpoint could be written: %s", error)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        self._written = time.monotonic()

    def read(self) -> State | None:
        """The state that was written last; None if there is none or it can't be read."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                facts = dict(json.loads(file.metadata()["facts"]))
                return State({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            log.warning("%s can't be read, the training starts anew: %s", self.path, error)
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
