"""`--quiet` and `--verbose` on the command line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import COMMANDS, app

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_quiet_leaves_results_and_errors(run_cli: Cli, small_folder: Path) -> None:
    result = run_cli("fit", "knn", "-d", str(small_folder), "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("knn, seed 0, ")
    result = run_cli("fit", "knnn", "-q")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("fittingroom: unknown model 'knnn'")


def test_verbose_says_where_an_error_occurred(run_cli: Cli) -> None:
    result = run_cli("report", "absent", "-v")
    assert (result.returncode, result.stdout) == (1, "")
    first, *_, last = result.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.startswith("fittingroom: no saved runs in absent")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_both(command: str) -> None:
    printed = CliRunner().invoke(app, [command, "--help"]).stdout
    assert "-q, --quiet" in printed
    assert "-v, --verbose" in printed
