"""What is committed under benchmarks/results: by which code, in one piece, at what price."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import error_rates
import forms
import growth
import honest_claims
import honesty
import memory
import numpy as np
import presets
import pytest
import record
import same_recipe
import seed_spread
import sklearn
import speed_page
from speed import range_of, spread

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError
from fittingroom.models.catalog import MODELS
from fittingroom.models.making import make_classifier
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of, to_plain
from fittingroom.runs.store import open_store

same_keys = pytest.mark.skipif(
    not sklearn.__version__.startswith("1.9."),
    reason="a key holds all parameters, of which scikit-learn before 1.9 has others",
)
RESULTS = sorted(
    path
    for folder in (record.RESULTS, seed_spread.RESULTS)
    for path in folder.glob("*.json")
    if path != record.LEDGER
)
LEDGER: list[dict[str, Any]] = json.loads(record.LEDGER.read_text("utf8"))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf8"))
    return found


def test_every_result_is_made_by_committed_code() -> None:
    assert [path.stem for path in RESULTS if "dirty" in read(path)["commit"]] == []


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_names_the_command_that_made_it(path: Path) -> None:
    command = read(path)["command"]
    script = re.match(r"python (benchmarks/\w+\.py)", command)
    assert script is not None
    assert " /" not in command  # a folder of one machine says nothing to others
    assert (record.ROOT / script[1]).exists()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_read_of_the_test_images_is_in_the_ledger(path: Path) -> None:
    found = read(path)
    if "test_reads" not in found:  # made before there was a ledger, which has it from the history
        return
    places = [
        i
        for i, entry in enumerate(LEDGER)
        if (entry["for"], entry["commit"]) == (record.name_of(path), found["commit"])
    ]
    assert sum(LEDGER[i]["reads"] for i in places) == found["test_reads"]
    if places:
        assert found["test_reads_before"] == sum(entry["reads"] for entry in LEDGER[: places[0]])


def test_the_tables_of_the_speed_page_are_those_of_the_results() -> None:
    page = speed_page.PAGE.read_text("utf8")
    assert speed_page.with_tables(page) == page


def test_nothing_takes_much_memory_but_what_takes_scikit_learn_as_much() -> None:
    assert memory.unexplained(read(record.RESULTS / "memory.json")["rows"]) == []


def test_no_fit_takes_less_memory_than_the_catalogue_says_at_the_least() -> None:
    for name, row in read(record.RESULTS / "growth.json")["rows"].items():
        for n, found in row["sizes"].items():
            if found["status"] == "ok":
                least = MODELS[name].bytes_per_pixel * int(n) * growth.PIXELS
                assert found["peak_memory_bytes"] >= least, (name, n)


def test_the_catalogue_has_the_powers_by_which_time_was_seen_to_grow() -> None:
    """Where the smaller of the two largest sizes isn't one of which a fit takes what any takes."""
    for name, row in read(record.RESULTS / "growth.json")["rows"].items():
        sizes = {int(n): found for n, found in row["sizes"].items() if found["status"] == "ok"}
        done = sorted(sizes)
        engines = {sizes[n]["engine"] for n in done[-2:]}
        if len(done) > 1 and done[-2] >= 60_000 and len(engines) == 1:
            seen = row["time_exponent_of_the_two_largest"]
            assert MODELS[name].growth == pytest.approx(seen, abs=0.4), name


def test_the_table_of_forms_is_that_of_the_result() -> None:
    page = forms.PAGE.read_text("utf8")
    rows = read(record.RESULTS / "forms.json")["rows"]
    assert speed_page.put(page, "forms", forms.table(rows)) == page


@same_keys
def test_the_table_of_the_catalogue_is_that_of_its_results() -> None:
    page = seed_spread.PAGE.read_text("utf8")
    assert seed_spread.with_table(page) == page


@same_keys
def test_the_spreads_that_come_with_the_package_are_those_that_were_measured() -> None:
    assert seed_spread.SHIPPED.read_text("utf8") == seed_spread.shipped()
    assert {case.model for case in seed_spread.CASES} == set(MODELS)
    known = {case.spec().key for case in seed_spread.CASES}
    assert known.issuperset(seed_spread.measured())  # none of a recipe that has changed


def test_a_recipe_is_measured_by_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_spread, "RESULTS", tmp_path)
    for name in "ab":
        row = {"key": "0123456789ab", "model": "cnn-32"}
        (tmp_path / f"{name}.json").write_text(json.dumps({"recipes": [row]}), "utf8")
    assert [*seed_spread.measured(without=tmp_path / "b.json")] == ["0123456789ab"]
    with pytest.raises(SystemExit, match=r"b\.json has cnn-32, which another result has too"):
        seed_spread.measured()


def test_what_is_asked_for_is_fitted_and_what_others_have_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_spread, "RESULTS", tmp_path)
    rows = [{"key": case.spec().key} for case in seed_spread.CASES if case.model != "knn"]
    (tmp_path / "most.json").write_text(json.dumps({"recipes": rows}), "utf8")
    rest = seed_spread.cases_for(None, tmp_path / "rest.json")
    assert [(case.model, case.full) for case in rest] == [("knn", False), ("knn", True)]
    elsewhere = seed_spread.cases_for("swift-94,knn", tmp_path / "folder" / "a.json")
    assert {case.model for case in elsewhere} == {"swift", "knn"}
    again = seed_spread.cases_for("cnn-32", tmp_path / "most.json")  # which replaces that result
    assert [case.model for case in again] == ["cnn-32"]
    with pytest.raises(SystemExit, match=r"cnn-32: another result in .* has that already"):
        seed_spread.cases_for("cnn-32,knn", tmp_path / "rest.json")
    with pytest.raises(UnknownNameError, match="did you mean"):
        seed_spread.cases_for("cnn-33", tmp_path / "rest.json")
    (tmp_path / "rest.json").write_text(
        json.dumps({"recipes": [{"key": c.spec().key} for c in rest]})
    )
    with pytest.raises(SystemExit, match="every recipe is in another result"):
        seed_spread.cases_for(None, tmp_path / "new.json")


def test_a_window_is_of_the_mean_and_wider_for_a_single_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seed_spread.Case, "sd", 0.004)
    case = seed_spread.Case("cnn-64x4", 0.893, 0.915)
    assert case.holds(0.8930, 10)
    assert not case.holds(0.8929, 10)
    alone = 3 * 0.004 * 0.9**0.5
    assert case.holds(0.893 - alone + 1e-6, 1)
    assert not case.holds(0.893 - alone - 1e-6, 1)
    assert case.holds(0.915 + alone - 1e-6, 1)
    monkeypatch.setattr(seed_spread.Case, "sd", None)
    assert not case.holds(0.8929, 1)


def test_the_figures_of_a_recipe_are_of_all_its_seeds(small: Dataset, tmp_path: Path) -> None:
    case = seed_spread.Case("mlp-10-10", 0.8, settings={"epochs": 1})
    store = open_store(tmp_path, small)
    runs = [
        fit(spec_of(small, case.model, settings=case.settings, seed=seed), small, store)
        for seed in range(3)
    ]
    found = seed_spread.figures(case, runs)
    right = [run.test.correct.mean() for run in runs if run.test is not None]
    assert found["accuracies"] == pytest.approx(right)
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert found["sd"] == pytest.approx(np.std(right, ddof=1))
    assert (found["model"], found["seeds"]) == ("mlp-10-10[epochs=1]", 3)
    assert "sd" not in seed_spread.figures(case, runs[:1])


def test_one_turn_is_not_shown_as_a_range() -> None:
    assert range_of(spread([2.0])) == "2.00, one turn"
    assert range_of(spread([2.0, 3.0, 2.5])) == "2.50 (2.00 to 3.00)"
    page = (record.ROOT / "docs" / "speed.md").read_text("utf8")
    assert not re.findall(r"(\d+\.\d+) \(\1 to \1\)", page)


def test_a_result_of_uncommitted_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "code_state", lambda: "0123456789ab-dirty")
    out = record.RESULTS / "never-written.json"
    with pytest.raises(SystemExit, match="commit the changes first"):
        record.write(out, {"figure": 1})
    assert not out.exists()
    record.write(tmp_path / "tried.json", {"figure": 1})  # elsewhere it is a trial
    assert read(tmp_path / "tried.json")["commit"] == "0123456789ab-dirty"


def test_a_result_is_made_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "result.json"
    assert record.kept(out) == {}
    monkeypatch.setattr(record, "code_state", lambda: "0123456789ab")
    record.write(out, {"rounds": [1]})
    assert record.kept(out)["rounds"] == [1]
    monkeypatch.setattr(record, "code_state", lambda: "fedcba987654")
    assert record.kept(out) == {}, "another state of the code begins anew"


def test_a_result_that_is_made_again_is_entered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "test-reads.json"
    ledger.write_text(json.dumps([{"for": "a.json", "commit": "0", "date": "", "reads": 7}]))
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "LEDGER", ledger)
    monkeypatch.setattr(record, "code_state", lambda: "1")
    for reads in (2, 4):
        record.write(tmp_path / "b.json", {}, test_reads=reads)
    record.write(tmp_path / "c.json", {}, test_reads=1)
    assert [entry["reads"] for entry in json.loads(ledger.read_text())] == [7, 4, 1]
    counts = [(read(tmp_path / f"{name}.json")) for name in "bc"]
    assert [(c["test_reads"], c["test_reads_before"]) for c in counts] == [(4, 7), (1, 11)]


def test_presets_are_chosen_by_two_files_of_training_images(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def read_idx(path: Path, dimensions: int) -> np.ndarray:
        opened.append(path.name)
        return small.train.images if dimensions == 3 else small.train.labels.astype(np.uint8)

    def refused(*given: Any, **options: Any) -> Dataset:
        raise AssertionError("whoever opens the whole data set may read the test images")

    for opener in ("read_folder", "load_dataset"):
        for module in [*sys.modules.values()]:
            if module.__name__.startswith("fittingroom") and hasattr(module, opener):
                monkeypatch.setattr(module, opener, refused)
    monkeypatch.setattr(presets, "read_idx", read_idx)
    monkeypatch.setattr(presets, "HELD_OUT", 500)
    found = presets.fit(str(tmp_path), "small", 1, 0, 1)
    assert opened == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert 0.3 < found["accuracy"] < 1


def test_the_cheapest_candidate_that_stands_far_enough_above_the_goal_is_taken() -> None:
    """1.645 √(0.93 · 0.07 · 2 / 10,000) = 0.00594."""
    assert presets.needed(0.93) == pytest.approx(0.93594, abs=1e-5)

    def trial(mean: float, cost: float) -> dict[str, Any]:
        return {"mean": mean, "cost": cost}

    trials = [trial(0.94, 30), trial(0.9358, 10), trial(0.9360, 20), trial(0.91, 5), trial(0.9, 1)]
    found = presets.chosen(trials)
    assert (found["swift-93"], found["swift-90"]) == (trials[2], trials[3])
    assert set(found) == {"swift-90", "swift-93"}


def test_the_presets_are_those_that_were_chosen() -> None:
    found = read(record.RESULTS / "presets.json")
    assert presets.chosen(found["trials"]) == found["chosen"]
    assert set(found["chosen"]) == set(presets.GOALS)
    for preset, trial in found["chosen"].items():
        row, parameters = presets.NETWORKS[trial["network"]]
        options: dict[str, Any] = {"mirror_keeps_class": True, "random_state": 0}
        tried = make_classifier(row, epochs=trial["epochs"], **parameters, **options)
        assert to_plain(make_classifier(preset, **options)) == to_plain(tried)


def test_the_presets_were_chosen_by_the_rule() -> None:
    found = read(record.RESULTS / "presets.json")
    assert presets.chosen(found["trials"]) == found["chosen"]
    for preset, rule in found["rule"].items():
        assert rule["needed"] == pytest.approx(presets.needed(presets.GOALS[preset]), abs=1e-5)


def test_honest_claims_are_simulated_of_every_kind() -> None:
    found = list(honest_claims.simulated(1))
    assert {row["kind"] for row in found} == {
        *("accuracy", "difference", "order", "winner of six", "best value")
    }
    for row in found:
        verdicts = {name: share for name, share in row["now"].items() if name != "accused"}
        assert sum(verdicts.values()) == pytest.approx(1)


def test_every_simulated_table_has_its_place_in_the_tables_of_the_page() -> None:
    """Of equal recipes in one row of errors, of recipes that differ in a row of its own."""
    rows = [
        {
            "scenario": honesty._plain(scenario),
            "called": 0.05,
            "called_usual": 0.2,
            "called_pooled": 0.1,
        }
        for scenario in (*honesty.scenarios(), *honesty.unbalanced())
    ]
    gaps = [row for row in rows if row["scenario"]["gap"]]
    for row in rows:
        kinds = [kind for kind, holds in error_rates.KINDS.items() if holds(row)]
        assert len(kinds) == (0 if row in gaps else 1), row
    errors = error_rates.errors_table(rows)
    assert len(errors) == 2 + len(error_rates.KINDS)
    assert errors[2].endswith("| 5.0% | 20.0% | 10.0% |")
    assert len(error_rates.power_table(rows)) == 2 + len(gaps)


def test_honest_claims_stand_in_a_row_by_kind_and_images() -> None:
    def row(measured: str, now: float) -> dict[str, Any]:
        shares = {"now": {"accused": now}, "before": {"accused": 0.5}}
        return {"kind": "order", "measured": measured, **shares}

    real = [{"model": "logistic", "all at once": {"accused": 0.0}, "before": {"accused": 1.0}}]
    table = error_rates.claims_table([row("own", 0.01), row("own", 0.02), row("x", 0.0)], real)
    assert table[2:] == [
        "| order, own images | 2.0% | 50.0% |",
        "| order, x images | 0.0% | 50.0% |",
        "| 20 real sources with splits of their own, `logistic` | 0% | 100% |",
    ]


def test_tables_of_one_recipe_draw_disjoint_groups() -> None:
    right = np.arange(48)[:, None] == np.arange(96)[None] // 2  # each fit is known by its images
    for measured in (True, False):
        for recipes in same_recipe.tables(right, 3, measured, 2):
            drawn = np.concatenate([fits.correct for fits in recipes.values()])
            assert (len(recipes), len(drawn)) == (8, 24)
            assert drawn.sum(axis=0).max() == 1
            assert all((fits.known is not None) is measured for fits in recipes.values())
    shares = same_recipe.shares(right, 2, True, 3)
    assert shares["tables"] == 3
    assert shares["wrong_tables"] == 0


def test_the_reads_of_a_printed_comparison_are_counted() -> None:
    from printed import reads_of

    def board(name: str) -> dict[str, Any]:
        rows = [{"seeds": 3, "test": {}}, {"seeds": 2, "test": None}, {"seeds": 1, "test": {}}]
        return vars(SimpleNamespace(dataset={"name": name}, rows=rows))

    assert reads_of(board("fashion-mnist")) == 4
    assert reads_of({"leaderboards": [board("mnist"), board("fashion-mnist")]}) == 4
    assert reads_of({"leaderboard": board("fashion-mnist")}) == 4
    assert reads_of({"trials": [], "test": {"accuracy": 0.9}}) == 1
    assert reads_of({"trials": [], "test": None}) == 0
