"""web_engine.py: a script's answer, and what went wrong, from either program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fittingroom.bundles import web_engine
from fittingroom.bundles.web_engine import Engine, find_engine
from fittingroom.errors import BundleError

SCRIPT = "const half = (number) => number / 2;\n"


@pytest.fixture(params=["Node.js", "Chromium"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Each program in turn, the other one hidden."""
    hidden = {"Node.js": web_engine._CHROMIUMS, "Chromium": ("node",)}[request.param]
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in hidden else which(name))
    found = find_engine()
    if found is None:
        pytest.skip(f"{request.param} isn't installed")
    assert found.name == request.param
    return found


def test_an_answer_comes_back_as_it_was(engine: Engine) -> None:
    expression = '{ numbers: [half(3), NaN], text: "</pre> & <é> \\u2028" }'
    answer = engine.evaluate(SCRIPT, expression.replace("</", "<\\/"))
    assert answer == {"numbers": [1.5, None], "text": "</pre> & <é> \u2028"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("throw new Error('no such layer');\n", "Error: no such layer"),
        ("const const = 3;\n", "SyntaxError"),
        ("absent();\n", "ReferenceError: absent is not defined"),
    ],
)
def test_an_error_is_told(script: str, reason: str, engine: Engine) -> None:
    with pytest.raises(BundleError, match=rf"{engine.name} can't run the script .*{reason}"):
        engine.evaluate(SCRIPT + script, "half(3)")


def test_a_script_that_does_not_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_engine, "PATIENCE", 0.5)
    with pytest.raises(BundleError, match=f"{engine.name} gave no answer in 0.5 seconds"):
        engine.evaluate("while (true) {}\n", "1")


def test_a_program_that_is_not_what_its_name_says() -> None:
    mute = Engine("Node.js", "true", web_engine._by_node)
    with pytest.raises(BundleError, match="no answer, exit code 0"):
        mute.evaluate(SCRIPT, "1")
    absent = Engine("Node.js", "/absent/node", web_engine._by_node)
    with pytest.raises(BundleError, match=r"Node\.js can't be started"):
        absent.evaluate(SCRIPT, "1")


def test_without_either_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_engine() is None


def test_an_own_profile_is_removed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    run = subprocess.run

    def spy(command: list[str], **options: object) -> object:
        commands.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", spy)
    assert engine.evaluate(SCRIPT, "half(4)") == 2
    places = [part.partition("=")[2] for part in commands[0] if part.startswith("--user-data-dir")]
    assert len(places) == (engine.name == "Chromium")
    assert not any(Path(place).exists() for place in places)
