"""What `--on` says; to read it takes nothing else, so that a wrong one is told at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fittingroom.errors import UsageError

#: One fit at a time, in a child process that has all threads.
HERE = "local:1"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What `--on` says: so many child processes here, or Ray and the address of a cluster."""

    kind: Literal["local", "ray"]
    at_once: int = 1
    address: str | None = None

    @classmethod
    def of(cls, text: str) -> Place:
        """`local:N`, `ray` or `ray://HOST:PORT`.

        Raises
        ------
        UsageError
            When it is none of these.
        """
        if match := re.fullmatch(r"local:([1-9]\d{0,3})", text):
            return cls(kind="local", at_once=int(match[1]))
        if text == "ray":
            return cls(kind="ray")
        if re.fullmatch(r"ray://[\w.:\[\]-]+:\d+", text):
            return cls(kind="ray", address=text)
        raise UsageError(
            f"--on takes local:N with N from 1, ray, or ray://HOST:PORT, not {text!r}."
        )
