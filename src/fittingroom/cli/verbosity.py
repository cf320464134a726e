"""`--quiet` and `--verbose`, which every command has."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from fittingroom.cli import output

_QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors, no progress and no notes.")
]
_VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also print where in the code an error occurred.")
]


def with_verbosity(command: Callable[..., None]) -> Callable[..., None]:
    """The command with two more options, which take effect before it starts."""

    @wraps(command)
    def run(*, quiet: bool, verbose: bool, **options: object) -> None:
        output.quiet = quiet
        if verbose:
            logging.getLogger("fittingroom").setLevel(logging.DEBUG)
        command(**options)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *inspect.signature(command, eval_str=True).parameters.values(),
        inspect.Parameter("quiet", keyword, default=False, annotation=_QuietOption),
        inspect.Parameter("verbose", keyword, default=False, annotation=_VerboseOption),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
