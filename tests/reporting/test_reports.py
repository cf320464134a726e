"""reports.py: what each kind of result shows, and what its files hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import fittingroom
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.verdict import Judgement, Score
from fittingroom.bench.claims.verification import ClaimResult, ClaimsReport
from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.bench.comparison.side_by_side import side_by_side
from fittingroom.bench.tuning.tuning import Tuning
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.evaluation.intervals import Interval
from fittingroom.reporting import comparison_page
from fittingroom.reporting.report import Report
from fittingroom.reporting.reports import comparison_report
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import find_store, open_store

ALL = "html,md,csv,json,latex"


def lines(folder: Path, name: str) -> list[dict[str, str]]:
    return [*csv.DictReader((folder / name).read_text("utf8").splitlines())]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Analysis, Dataset | None]]:
    """What comparison pages are made of, instead of pages, which take seconds."""
    calls: list[tuple[Analysis, Dataset | None]] = []

    def render(analysis: Analysis, dataset: Dataset | None = None) -> str:
        calls.append((analysis, dataset))
        return f"page {len(calls)}"

    monkeypatch.setattr(comparison_page, "render_comparison", render)
    return calls


def test_the_report_of_a_folder_of_runs(
    compared_runs: Path,
    compared: Analysis,
    small: Dataset,
    rendered: list[tuple[Analysis, Dataset | None]],
) -> None:
    """The runs' data set is found again at its location."""
    report = fittingroom.report(compared_runs)
    assert report.result.to_dict() == compared.to_dict()
    assert json.loads(report.json())["rows"]
    assert "rank  model" in report.text()
    assert report.html() == "page 1"
    ((analysis, dataset),) = rendered
    assert analysis.to_dict() == compared.to_dict()
    assert dataset is not None
    assert dataset.sha256 == small.sha256


def test_what_compare_returns_is_reported_from_its_runs(
    compared_runs: Path, compared: Analysis
) -> None:
    report = fittingroom.report(compared.board)
    assert report.json() == compared.board.to_json()
    assert report.result.to_dict() == compared.to_dict()


def test_the_page_of_an_analysis_has_no_images(
    compared: Analysis, rendered: list[tuple[Analysis, Dataset | None]]
) -> None:
    assert fittingroom.report(compared).html() == "page 1"
    assert rendered == [(compared, None)]


def test_the_report_of_two_data_sets(compared_runs: Path, small: Dataset, tmp_path: Path) -> None:
    board, _ = comparison_report(find_store(compared_runs), small)
    other = replace(board, dataset_sha256="0" * 64, dataset_name="other")
    report = fittingroom.report(side_by_side([board, other]))
    assert {file.name for file in report.save(tmp_path, ALL)} == {
        f"side-by-side.{kind}" for kind in ("json", "md", "csv", "html", "tex")
    }
    assert len(lines(tmp_path, "side-by-side.csv")) == len(board.rows)


def test_the_report_of_claims(tmp_path: Path) -> None:
    leak, order = load_claims(["s2-ann1", "s0-order"])
    finding = Judgement(
        verdict="not-what-it-says",
        honest=Score(accuracy=0.867, interval=Interval(0.86, 0.87), n_seeds=5),
    )
    report = fittingroom.report(
        ClaimsReport(
            dataset_title="some",
            dataset_sha256="ab" * 32,
            test_images=1000,
            test_reads=0,
            claims=(
                ClaimResult(claim=leak, judgement=finding, note="It leaks."),
                ClaimResult(claim=order, judgement=Judgement(verdict="cannot-be-checked"), note=""),
            ),
        )
    )
    assert "\ns2-ann1: It leaks." in report.text()
    assert len(report.save(tmp_path, ALL)) == 5
    first, second = lines(tmp_path, "claims.csv")
    assert first == {
        **{"claim": "s2-ann1", "claimed": "0.9759", "verdict": "not-what-it-says"},
        **dict.fromkeys(("as_claimed_accuracy", "as_claimed_low", "as_claimed_high"), ""),
        **{"as_claimed_seeds": "0", "honest_accuracy": "0.867", "honest_low": "0.86"},
        **{"honest_high": "0.87", "honest_seeds": "5", "note": "It leaks."},
    }
    assert second["verdict"] == "cannot-be-checked"
    assert "\n| s2-ann1 | 0.9759 |" in (tmp_path / "claims.md").read_text("utf8")


def test_the_report_of_a_search(tuning: Tuning, tmp_path: Path) -> None:
    report = fittingroom.report(tuning)
    assert "The best of 10 trials of cnn-32" in report.text()
    assert tuning.comparison in report.text()
    names = {file.name for file in report.save(tmp_path, ALL)}
    study = tuning.study
    assert names == {
        f"{study}.{kind}" for kind in ("json", "best.json", "md", "csv", "html", "tex")
    }
    trials = lines(tmp_path, f"{study}.csv")
    assert [float(row["accuracy"] or "nan") for row in trials[:10]] == [
        trial.accuracy for trial in tuning.scored
    ]
    assert {row["learning_rate"] for row in trials} == {
        f"{trial.settings['learning_rate']:g}" for trial in tuning.trials if trial.settings
    }
    table = (tmp_path / f"{study}.md").read_text("utf8").split("\n\n")[-1]
    assert len(table.splitlines()) == 2 + len(tuning.trials)


def test_the_report_of_a_run_writes_no_files(compared_runs: Path, tmp_path: Path) -> None:
    run = next(run for run in find_store(compared_runs).runs() if run.test and run.validation)
    report = fittingroom.report(run)
    assert run.test is not None
    assert (
        f"test accuracy {run.test.correct.mean():.4f}, 95% interval of this fit 0." in report.text()
    )
    assert report.json() == run.record.to_json()
    assert report.save(tmp_path, ALL) == []


def test_a_run_on_unbalanced_classes_has_its_balanced_accuracy(
    some_of: Callable[..., Dataset], small: Dataset, tmp_path: Path
) -> None:
    data = some_of({0: 100, 1: 40}, {0: 90, 1: 30})
    run = fit(spec_of(data, "knn"), data, open_store(tmp_path, data), keep_model=False)
    assert run.test is not None
    recalls = [run.test.correct[run.test.labels == label].mean() for label in (0, 1)]
    text = fittingroom.report(run).text()
    assert f"(120 images); balanced accuracy {sum(recalls) / 2:.4f}\n" in text
    equal = fit(spec_of(small, "knn"), small, open_store(tmp_path, small), keep_model=False)
    assert "balanced accuracy" not in fittingroom.report(equal).text()


def test_other_results_have_no_report() -> None:
    with pytest.raises(UsageError, match="float has no report"):
        fittingroom.report(0.9)


def test_a_result_is_computed_on_demand() -> None:
    computed = []
    lazy = Report(text=str, json=str, compute=lambda: computed.append(1) or 7)  # type: ignore[func-returns-value]
    assert not computed
    assert (lazy.result, lazy.result) == (7, 7)
    assert computed == [1]
