"""The command line. Every command is a file beside this one and a row in `COMMANDS`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from io import TextIOWrapper

import typer

from fittingroom.cli import (
    add,
    compare,
    data,
    doctor,
    export,
    fit,
    models,
    predict,
    report,
    runs,
    serve,
    tune,
    verify,
)
from fittingroom.cli.help import Command
from fittingroom.cli.output import warn
from fittingroom.cli.verbosity import with_verbosity
from fittingroom.errors import FittingroomError
from fittingroom.execution.child import collect_rarely
from fittingroom.printable import printable

log = logging.getLogger("fittingroom")

COMMANDS: dict[str, Callable[..., None]] = {
    "data": data.command,
    "models": models.command,
    "fit": fit.command,
    "compare": compare.command,
    "tune": tune.command,
    "report": report.command,
    "runs": runs.command,
    "verify": verify.command,
    "predict": predict.command,
    "add": add.command,
    "export": export.command,
    "serve": serve.command,
    "doctor": doctor.command,
}

app = typer.Typer(
    name="fittingroom",
    help="Which image classifier is better on Fashion-MNIST, by how much, and how sure are you?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in COMMANDS.items():
    app.command(name, cls=Command)(with_verbosity(command))


@app.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(version_of("fittingroom"))  # noqa: T201
        raise typer.Exit


class _Messages(logging.Handler):
    """Prints to the current standard error: a progress bar replaces it to print above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(printable(self.format(record)))


def main() -> None:
    """Run the command; a user's mistake gives one sentence on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # the terminal may be unable to encode a class name
            stream.reconfigure(errors="backslashreplace")
    collect_rarely()
    # Messages of the library while it works: where data come from, what is skipped.
    logging.basicConfig(handlers=[_Messages()], format="%(message)s", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        app()
    except FittingroomError as error:
        if log.isEnabledFor(logging.DEBUG):
            traceback.print_exception(error)
        warn(f"fittingroom: {printable(str(error))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
