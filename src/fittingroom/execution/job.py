"""`Job`: a spec that another process can fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fittingroom.runs.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Job:
    """A spec, where its data are read, and where its run goes.

    Attributes
    ----------
    dataset : a folder or a name, for `load_dataset`
    store : the folder of a data set's runs
    keep_model : whether the fitted model is saved
    """

    spec: RunSpec
    dataset: str
    store: str
    keep_model: bool = True

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Job:
        """The job that `asdict` gave."""
        return cls(**{**fields, "spec": RunSpec(**fields["spec"])})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Wall seconds of one fit with its predictions; bytes resident in its process tree."""

    seconds: float | None = None
    memory: int | None = None
