"""`Job`: a spec that another process can fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fittingroom.runs.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Job:
    """A spec, the data set to fit it on, and the store for its run.

    Attributes
    ----------
    dataset : folder or name, as `load_dataset` takes it
    store : folder of the data set's runs
    keep_model : whether the fitted model is saved
    """

    spec: RunSpec
    dataset: str
    store: str
    keep_model: bool = True

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Job:
        """Rebuild the job from what `asdict` made of it."""
        return cls(**{**fields, "spec": RunSpec(**fields["spec"])})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one fit with its predictions: wall-clock seconds, resident bytes of its process tree."""

    seconds: float | None = None
    memory: int | None = None
