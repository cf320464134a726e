"""Progress for people who call a function in a terminal or a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from rich.console import Console

from fittingroom.cli.progress import ProgressDisplay

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def with_progress(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """The function, which shows its progress in a terminal or a notebook by default.

    Elsewhere, such as in a script whose output goes to a file, it shows nothing; `on_progress`
    is called instead wherever it is given.
    """

    @wraps(function)
    def shown(*arguments: Any, on_progress: Any = None, **options: Any) -> _Result:
        run: Callable[..., _Result] = function
        if on_progress is not None or not (sys.stderr.isatty() or Console().is_jupyter):
            return run(*arguments, on_progress=on_progress, **options)
        with ProgressDisplay() as display:
            return run(*arguments, on_progress=display, **options)

    return shown
