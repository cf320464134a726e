from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

import fittingroom
from fittingroom.bench.comparison import compare as comparing
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset


@pytest.fixture
def own(small: Dataset) -> dict[str, object]:
    """A model that is fitted in this process, at once."""
    from sklearn.naive_bayes import GaussianNB

    return {"naive-bayes": GaussianNB()}


def test_people_at_a_terminal_see_progress(
    own: dict[str, object],
    small: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    board = fittingroom.compare(small, own, runs=tmp_path)
    assert board["naive-bayes"].test is not None
    assert "naive-bayes" in capsys.readouterr().err


def test_scripts_see_none_unless_they_ask(
    own: dict[str, object], small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[Progress] = []
    fittingroom.compare(small, own, runs=tmp_path / "a")
    fittingroom.compare(small, own, runs=tmp_path / "b", on_progress=steps.append)
    assert capsys.readouterr() == ("", "")
    assert [step.kind for step in steps] == ["started", "saved"]


def test_the_signature_and_the_documentation_are_those_of_the_function() -> None:
    assert inspect.signature(fittingroom.compare) == inspect.signature(comparing.compare)
    assert fittingroom.compare.__doc__ == comparing.compare.__doc__


def test_every_public_name_is_there_once() -> None:
    assert dir(fittingroom) == sorted(fittingroom.__all__)
    for name in fittingroom.__all__:
        assert getattr(fittingroom, name) is getattr(fittingroom, name)
    assert fittingroom.figures.__all__ == sorted(fittingroom.figures.__all__)
    with pytest.raises(AttributeError, match="'fittingroom' has no attribute 'fits'"):
        fittingroom.fits  # noqa: B018


def test_what_a_command_does_a_call_does_with_progress() -> None:
    for name in ("compare", "fit", "tune", "verify", "zalando"):
        assert "on_progress" in inspect.signature(getattr(fittingroom, name)).parameters
