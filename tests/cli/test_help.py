from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import COMMANDS, app


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_values_not_python_types(command: str) -> None:
    printed = CliRunner().invoke(app, [command, "--help"]).stdout
    assert not set("<{}") & set(printed)
    assert printed.startswith(f"Usage: fittingroom {command} [OPTIONS]")
    for line in printed.splitlines():
        assert len(line) <= 80


def test_help_shows_arguments_as_they_are_given() -> None:
    printed = CliRunner().invoke(app, ["predict", "--help"]).stdout
    assert "predict [OPTIONS] MODEL IMAGE...\n" in printed
    assert "\n  IMAGE...  Pictures (PNG" in printed
    assert "add [OPTIONS] NAME FILE...\n" in CliRunner().invoke(app, ["add", "--help"]).stdout
    assert "report [OPTIONS] [FOLDER]\n" in CliRunner().invoke(app, ["report", "--help"]).stdout


def test_the_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> list[str]:
        environment = {
            **os.environ,
            "_FITTINGROOM_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        code = "from fittingroom.cli.main import app; app(prog_name='fittingroom')"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    assert completed("fittingroom comp") == ["compare"]
    assert "--seeds" in completed("fittingroom compare --")
