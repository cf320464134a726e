"""Checkpoints: the state of a training run on disk, so that a killed one can be resumed.

One safetensors file holds every tensor (weights, optimiser, averages, random state) and, as JSON in
its header, everything else. It is written aside and renamed, so a kill leaves the last one intact.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fittingroom.errors import StoreError
from fittingroom.files import file_aside
from fittingroom.untrusted import open_untrusted, parse_json

log = logging.getLogger(__name__)

#: Seconds between checkpoints: short epochs shouldn't spend their time writing.
INTERVAL = 60.0


@dataclass(frozen=True)
class State:
    """What resuming needs: tensors by name, and everything else as JSON values."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Checkpoint:
    """A file with the latest state of one training run.

    Parameters
    ----------
    path : the file; its folder is created if necessary
    interval : least number of seconds between writes
    """

    def __init__(self, path: Path, *, interval: float = INTERVAL) -> None:
        self.path = path
        self._interval = interval
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._written >= self._interval

    def write(self, state: State) -> None:
        """Replace the previous state. If the disk is full, training continues without it."""
        # Cloned, because safetensors refuses tensors that share memory.
        tensors = {name: t.detach().cpu().clone().contiguous() for name, t in state.tensors.items()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with file_aside(self.path) as partial:
                facts = json.dumps(dict(state.facts))
                sha256 = _digest(tensors, facts)
                save_file(tensors, partial, {"facts": facts, "sha256": sha256})
        except (OSError, StoreError, SafetensorError) as error:
            log.warning("the checkpoint couldn't be written: %s", error)
        self._written = time.monotonic()

    def read(self) -> State | None:
        """The last state written; None if there is none or it can't be read."""
        if not self.path.exists():
            return None
        try:
            with open_untrusted(self.path, StoreError), safe_open(self.path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                facts, sha256 = (file.metadata()[name] for name in ("facts", "sha256"))
                if _digest(tensors, facts) != sha256:
                    raise StoreError(f"{self.path} was changed after it was written.")
                return State(tensors, dict(parse_json(facts)))
        except StoreError as error:
            log.warning("%s; training starts from scratch.", str(error).rstrip("."))
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """A hash of everything in a state."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
