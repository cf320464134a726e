from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fittingroom.cli.output import note, say


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31mb\x9bc\nd")
    note("e\rf")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("a\\x1b[31mb\\x9bc\nd\n", "e\\rf\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_unwritable_stdout_is_one_sentence() -> None:
    command = f"{sys.executable} -m fittingroom.cli.main models > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fittingroom: standard output can't be written: no space left")
    assert done.stderr.count("\n") == 1


def test_sentences_are_broken_between_words_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    sentence = "swift is best: 93.9% (one seed), ahead of cnn-32."
    table = "rank  model          test accuracy"
    data = '{"a": "a long text of more than 24 columns"}'
    say(f"{sentence}\n{table}\n{data}")
    assert capsys.readouterr().out == f"{sentence}\n{table}\n{data}\n"  # for a file or a pipe
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    say(f"{sentence}\n{table}\n{data}")
    wrapped = "swift is best: 93.9%\n(one seed), ahead of\ncnn-32."
    assert capsys.readouterr().out == f"{wrapped}\n{table}\n{data}\n"
