"""The plan of a comparison, and how each entry ended: `comparison.json`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fittingroom.errors import StoreError
from fittingroom.runs.attempt import Status
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store
from fittingroom.untrusted import STRICT, read_json

FILE = "comparison.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the plan: a model, the key of its runs, and the seeds it is fitted with."""

    __pydantic_config__ = STRICT

    label: str
    model: str
    key: str
    seeds: tuple[int, ...]
    deterministic: bool
    trained_on: int | None
    status: Status = "interrupted"  # until its last seed is saved
    reason: str | None = "not finished; the same command resumes it"

    @classmethod
    def of(
        cls,
        spec: RunSpec,
        *,
        label: str,
        seeds: tuple[int, ...],
        deterministic: bool,
        trained_on: int | None,
    ) -> Entry:
        return cls(
            label=label,
            model=spec.model,
            key=spec.key,
            seeds=seeds,
            deterministic=deterministic,
            trained_on=trained_on,
        )

    def ended(self, status: Status, reason: str | None = None) -> Entry:
        return dataclasses.replace(self, status=status, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The entries of one `compare`, in the order of its models."""

    __pydantic_config__ = STRICT

    entries: tuple[Entry, ...]
    command: str | None = None
    #: For each table that was shown, how many seeds its rows had, by key.
    looks: tuple[Mapping[str, int], ...] = ()
    schema_version: Literal[1] = 1

    def looked_at(self) -> Comparison:
        """The comparison after one more look at its table."""
        look = {entry.key: len(entry.seeds) for entry in self.entries if entry.status == "ok"}
        if look in self.looks:
            return self
        return dataclasses.replace(self, looks=(*self.looks, look))

    def save(self, store: Store) -> None:
        store.write_text(FILE, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, store: Store) -> Comparison | None:
        """The last comparison in `store`, None if there is none.

        Raises
        ------
        StoreError
            When the file is damaged.
        """
        path = store.folder / FILE
        if not os.path.lexists(path):
            return None
        comparison = read_json(path, StoreError, cls, within=store.folder)
        for entry in comparison.entries:
            if not entry.label.isprintable():
                raise StoreError(f"{path} can't be read: {entry.label!r} is not a model's name.")
            if not entry.seeds:
                raise StoreError(f"{path} can't be read: {entry.label} has no seeds.")
        if any(seeds < 1 for look in comparison.looks for seeds in look.values()):
            raise StoreError(f"{path} can't be read: a table was shown without seeds.")
        return comparison
