"""Results are shown before files are written, and a file that fails doesn't stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.side_by_side import side_by_side
from fittingroom.cli.show import show, show_plan, write
from fittingroom.data.dataset import Dataset
from fittingroom.errors import ReportError, StoreError
from fittingroom.reporting.report import Report
from fittingroom.reporting.reports import comparison_report, side_by_side_report
from fittingroom.runs.external import add_predictions
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, open_store

ALL = frozenset({"html", "md", "csv", "json"})
FILES = {
    *("leaderboard.json", "study.json", "leaderboard.md", "report.html"),
    *("leaderboard.csv", "pairs.csv", "classes.csv", "confusions.csv"),
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def few(some_of: Callable[..., Dataset]) -> Dataset:
    return some_of({0: 20, 1: 20}, {0: 6, 1: 6})


@pytest.fixture
def store(few: Dataset, tmp_path: Path) -> Store:
    """A store with one fit and added predictions."""
    store = open_store(tmp_path / "runs", few)
    fit(spec_of(few, "knn"), few, store, keep_model=False)
    np.savez(tmp_path / "theirs.npz", labels=np.zeros(len(few.test), int))
    add_predictions(store, few, "theirs", tmp_path / "theirs.npz")
    return store


def files_of(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir() if path.is_file()} - {"dataset.json"}


def show_comparison(store: Store, dataset: Dataset, *, as_json: bool) -> None:
    _, report = comparison_report(store, dataset)
    show(report, as_json=as_json)
    write(ALL, (report, store.folder))


@pytest.mark.parametrize(
    ("blocked", "as_json"),
    [("leaderboard.json", True), *((name, False) for name in sorted(FILES))],
)
def test_a_file_that_can_not_be_written_does_not_stop_the_others(
    store: Store, few: Dataset, capsys: Capture, blocked: str, as_json: bool
) -> None:
    (store.folder / blocked).mkdir()
    with pytest.raises(StoreError, match=f"{blocked} can't be written") as raised:
        show_comparison(store, few, as_json=as_json)
    assert "\n" not in str(raised.value)
    printed = capsys.readouterr()
    if as_json:
        assert {row["model"] for row in json.loads(printed.out)["rows"]} == {
            "knn",
            "theirs (added)",
        }
    else:
        assert {line.split()[1] for line in printed.out.splitlines()[3:5]} == {"knn", "theirs"}
    assert files_of(store) == FILES - {blocked}
    assert blocked not in printed.err
    assert all(name in printed.err for name in files_of(store))


def test_a_bug_in_the_page_does_not_stop_the_other_files(
    store: Store, few: Dataset, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        return str(1 // 0)

    monkeypatch.setattr("fittingroom.reporting.comparison_page.render_comparison", broken)
    with pytest.raises(ReportError) as raised:
        show_comparison(store, few, as_json=False)
    assert "report.html can't be made: ZeroDivisionError in test_show.py, line " in str(
        raised.value
    )
    assert raised.value.exit_code == 1
    assert "rank  model" in capsys.readouterr().out
    assert files_of(store) == FILES - {"report.html"}


def test_a_bug_in_the_analysis_does_not_stop_the_table(
    store: Store, few: Dataset, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("fittingroom.bench.comparison.analysis.analyse_table", broken)
    with pytest.raises(ReportError, match=r"study\.json can't be made: RuntimeError"):
        show_comparison(store, few, as_json=False)
    assert "rank  model" in capsys.readouterr().out
    assert files_of(store) == {"leaderboard.json", "leaderboard.md"}


def test_several_data_sets_are_shown_before_their_files(
    store: Store, few: Dataset, some_of: Callable[..., Dataset], tmp_path: Path, capsys: Capture
) -> None:
    other = some_of({0: 20, 1: 20}, {0: 3, 1: 4}, name="other")
    second = open_store(tmp_path / "runs", other)
    fit(spec_of(other, "knn"), other, second, keep_model=False)
    (tmp_path / "runs" / "side-by-side.html").mkdir()
    (second.folder / "report.html").mkdir()
    (a, first), (b, last) = comparison_report(store, few), comparison_report(second, other)
    sides = side_by_side_report(side_by_side([a, b]))
    show(sides, as_json=True)
    with pytest.raises(StoreError, match=r"side-by-side\.html can't be written"):
        write(ALL, (sides, tmp_path / "runs"), (first, store.folder), (last, second.folder))
    assert len(json.loads(capsys.readouterr().out)["leaderboards"]) == 2
    assert files_of(store) == FILES
    assert files_of(second) == FILES - {"report.html"}
    names = {path.name for path in (tmp_path / "runs").glob("side-by-side.*")}
    assert names == {f"side-by-side.{kind}" for kind in ("json", "md", "csv", "html")}


def test_the_first_error_is_raised(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "c").mkdir()
    report = Report(
        text=str, json=str, compute=str, files=dict.fromkeys("abc", lambda: "text"), always="abc"
    )
    with pytest.raises(StoreError, match="a can't be written"):
        write((), (report, tmp_path))
    assert (tmp_path / "b").read_text() == "text"
    assert capsys.readouterr().err.split() == ["b"], "it is in the working folder"


def test_a_plan_names_what_takes_long_and_what_is_skipped(few: Dataset, capsys: Capture) -> None:
    plan: dict[str, tuple[int, float | None]] = {
        "quick": (3, 20.0),
        "unknown": (2, None),
        "long": (1, 7200.0),
        "longer": (3, 40 * 86400.0),
        "large": (1, 30.0),
    }
    show_plan(few, plan, 86400, {"large": "it takes too much"})
    assert capsys.readouterr().err.splitlines()[1:] == [
        "models: 5; runs: 6; time: about 2 h 1 min, less what is saved",
        "long fits: long (about 2 h)",
        "skipped, over --time-limit 24 h: longer (about 40 d)",
        "skipped: large: it takes too much",
    ]
    show_plan(few, {"quick": (3, 20.0)}, None, {})
    assert len(capsys.readouterr().err.splitlines()) == 2
