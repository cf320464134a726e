from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import special

from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ClaimStore
from fittingroom.bench.claims.verification import ClaimResult
from fittingroom.bench.claims.verify import check, plan_claims, verify
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.execution.job import Limits
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import find_store, open_store

HEAD = """
title = "a claim"
kind = "accuracy"
claimed = "0.99"
says = "test accuracy"
protocol = ["clean"]
[source]
repository = "somebody/something"
revision = "0123abc"
[recipe]
model = "knn"
preprocessing = "none"
"""


def text(
    model: str = "knn",
    *tables: str,
    kind: str = "accuracy",
    claimed: str = "0.99",
    protocol: str = "",
) -> str:
    """A claim; `model` may add lines to its recipe, `tables` come at the end."""
    head = HEAD.replace('"accuracy"', f'"{kind}"').replace('"0.99"', f'"{claimed}"')
    return head.replace('"clean"', protocol).replace('"knn"', model) + "".join(tables)


def recipe(model: str, parameters: str = "", **options: Any) -> str:
    lines = [f"{name} = {str(value).lower()}" for name, value in options.items()]
    return "\n".join([f'"{model}"', f"parameters = {{ {parameters} }}", *lines])


NETWORK = recipe("mlp-10-10", "epochs = 2", seconds=3)
CLAIMS = {
    "clean": text(recipe("knn", seconds=8), protocol='"clean"'),
    "leaked": text(recipe("knn", "n_neighbors = 1"), claimed="0.999", protocol='"trained-on-test"'),
    "searched": text(
        recipe("knn", seconds=8),
        '[split]\nkind = "pooled"\ntest = 0.2\nseed = 0\n',
        '[search]\nparameter = "n_neighbors"\nvalues = [1, 5, 9]\n',
        protocol='"selected-on-test", "own-random-split"',
    ),
    "different": text(
        recipe("knn"),
        "[difference]\nfirst = { n_neighbors = 5 }\nsecond = { n_neighbors = 500 }\n",
        kind="difference",
        claimed="0.5",
    ),
    "different-of-fewer": text(
        recipe("knn"),
        '[split]\nkind = "official"\nvalidation = 0.5\nseed = 1\n',
        "[difference]\nfirst = { n_neighbors = 5 }\nsecond = { n_neighbors = 500 }\n",
        kind="difference",
        claimed="0.5",
    ),
    "best-of-fewer": text(
        recipe("knn"),
        '[split]\nkind = "official"\nvalidation = 0.5\nseed = 1\n',
        '[search]\nparameter = "n_neighbors"\nvalues = [1, 500]\n',
        kind="text",
        claimed="1",
    ),
    "worse": text(recipe("knn", "n_neighbors = 500"), protocol='"clean"'),
    "order": 'order = ["worse", "clean"]\n' + text(kind="order").split("[recipe]")[0],
    "reversed": 'order = ["clean", "worse"]\n' + text(kind="order").split("[recipe]")[0],
    "unknown": 'unknown = "There is no code of it."\n' + text().split("[recipe]")[0],
    "too-slow": text(recipe("knn", "n_neighbors = 7", seconds=1000), protocol='"clean"'),
    "quoted": text(NETWORK, claimed="0.3", protocol='"training-accuracy-quoted", "never-tested"'),
    "until": text(
        recipe("mlp-10-10", "epochs = 1", seconds=3),
        "[until]\ntrain_accuracy = 0.3\nthen = 1\n",
        protocol='"trained-on-test"',
    ),
    "diverging": text(
        recipe("mlp-10-10", "epochs = 2, learning_rate = 1e30", seconds=3),
        protocol='"clean"',
    ),
    "swept": text(
        recipe("mlp-10-10", "epochs = 2", seconds=3),
        '[search]\nparameter = "learning_rate"\nvalues = [0.00001, 0.003]\n',
        '[sweep]\nschedule = "rising"\nepochs = 3\n',
        kind="text",
        claimed="0.003",
        protocol='"never-tested"',
    ),
    "reduced": text(
        recipe("mlp-10-10", seconds=1000),
        "[reduced]\nparameters = { epochs = 3 }\nseeds = 2\nseconds = 5\n",
        protocol='"clean"',
    ),
}


class Bench:
    """Verifies claims given as text, and records what was fitted; with a scripted executor, if any.

    Claims share runs: what is fitted for one depends on those verified before.
    """

    def __init__(self, folder: Path, dataset: Dataset, executor: Any = None) -> None:
        self.folder, self.dataset, self.executor = folder, dataset, executor
        self.steps: list[Progress] = []
        for name, content in CLAIMS.items():
            (folder / f"{name}.toml").write_text(content)

    def verify(self, *names: str, **options: Any) -> dict[str, ClaimResult]:
        self.steps.clear()
        self.report = verify(
            [str(self.folder / f"{name}.toml") for name in names],
            dataset=self.dataset,
            runs=self.folder / "runs",
            on_progress=self.steps.append,
            **{"n_seeds": 3, "time_limit": 60, **options},
        )
        return {checked.claim.id: checked for checked in self.report.claims}

    def fits(self, name: str = "") -> int:
        """Number of runs fitted for a claim, or in total."""
        return sum(
            step.kind == "started" and step.model.startswith(f"{name} " if name else "")
            for step in self.steps
        )

    def runs(self, model: str) -> list[Run]:
        store = find_store(self.folder / "runs")
        return [run for run in store.runs() if run.record.spec.model == model]


@pytest.fixture(scope="module")
def first(
    small: Dataset, tmp_path_factory: pytest.TempPathFactory, scripted: Callable[..., Any]
) -> Bench:
    """All claims, verified once."""
    with scripted() as executor:
        bench = Bench(tmp_path_factory.mktemp("claims"), small, executor)
        bench.verify(*CLAIMS)
    return bench


@pytest.fixture
def results(first: Bench) -> dict[str, ClaimResult]:
    return {checked.claim.id: checked for checked in first.report.claims}


@pytest.fixture
def bench(tmp_path: Path, small: Dataset, scripted: Callable[..., Any]) -> Iterator[Bench]:
    """An empty store; whatever is verified is really fitted, but in this process."""
    with scripted() as executor:
        yield Bench(tmp_path, small, executor)


@pytest.fixture
def again(first: Bench, scripted: Callable[..., Any]) -> Iterator[Bench]:
    """All claims again, with all runs saved."""
    with scripted() as executor:
        yield Bench(first.folder, first.dataset, executor)


Results = dict[str, ClaimResult]


def test_a_clean_claim_has_one_set_of_runs(bench: Bench) -> None:
    checked = bench.verify("clean")["clean"]
    assert bench.fits("clean") == bench.fits() == 1
    assert checked.judgement.verdict == "too-high"
    assert checked.judgement.as_claimed == checked.judgement.honest
    assert checked.judgement.honest.n_seeds == 1
    assert "Both figures come from the same runs." in checked.note


def test_a_leak_is_found(bench: Bench) -> None:
    checked = bench.verify("leaked")["leaked"]
    assert bench.fits("leaked") == 2
    assert checked.judgement.verdict == "not-what-it-says"
    assert checked.judgement.as_claimed.accuracy == 1.0
    assert "it was trained on the test images" in checked.note


def test_fits_have_the_limits_and_keep_no_model(bench: Bench) -> None:
    bench.verify("leaked", on="local:2", time_limit=70, memory_limit=2**33)
    assert bench.executor.opened == [("local:2", Limits(seconds=70, memory=2**33))]
    assert [job.keep_model for job in bench.executor.jobs] == [False, False]


def test_a_search_chooses_on_test_as_claimed_and_reads_it_once_honestly(bench: Bench) -> None:
    checked = bench.verify("searched")["searched"]
    assert bench.fits("searched") == 3 + 3 + 1
    pooled = [
        run
        for run in bench.runs("knn")
        if (protocol := run.record.spec.protocol) and protocol["split"]["kind"] == "pooled"
    ]
    measured = [float(run.measured.correct.mean()) for run in pooled if run.measured]
    assert len(measured) == 3
    assert checked.judgement.as_claimed.accuracy == max(measured)
    tried = [
        run.record.spec.reads_test
        for run in bench.runs("knn")
        if run.record.spec.protocol is None
        and not run.record.spec.full
        and run.record.spec.settings.get("n_neighbors") in (1, 5, 9)
    ]
    assert tried.count(False) == 3, "what is tried leaves the test images unread"
    assert "Selected as claimed: n_neighbors" in checked.note
    assert "Selected honest: n_neighbors" in checked.note


@pytest.mark.parametrize("order", [("clean", "searched"), ("searched", "clean")])
def test_runs_of_another_claim_are_not_fitted_again(bench: Bench, order: tuple[str, ...]) -> None:
    """Five neighbours are the default: the clean claim's run, and the chosen one."""
    bench.executor.script = lambda spec: [0.9 if spec.settings.get("n_neighbors", 5) == 5 else 0.8]
    results = bench.verify(*order)
    assert len(bench.executor.jobs) == 7
    assert bench.steps[-1].done == bench.steps[-1].total == 8
    honest = {name: checked.judgement.accuracies["honest"] for name, checked in results.items()}
    assert honest["clean"] == honest["searched"] == (0.9,)


def test_epochs_before_the_log_are_reported(bench: Bench) -> None:
    checked = bench.verify("until")["until"]
    assert bench.fits("until") == 6
    assert "Total epochs, which the source doesn't report: " in checked.note
    used = [run for run in bench.runs("mlp-10-10") if run.measured and not run.test]
    epochs = [len(run.history) for run in used]
    assert len(epochs) == 3
    assert min(epochs) >= 2
    for run in used:
        passed = [epoch.train_accuracy > 0.3 for epoch in run.history]
        assert passed.index(True) == len(passed) - 2, "one epoch more, once it was passed"


def test_reads_of_the_test_split_are_counted(first: Bench) -> None:
    runs = find_store(first.folder / "runs").runs()
    assert first.report.test_reads == sum(run.record.spec.reads_test for run in runs)
    assert first.report.test_reads < len(runs)
    assert first.report.test_reads > sum(run.test is not None for run in runs), "as claimed too"


def test_a_training_accuracy_is_read_from_the_honest_fits(bench: Bench) -> None:
    checked = bench.verify("quoted")["quoted"]
    assert bench.fits("quoted") == 3
    runs = [
        run
        for run in bench.runs("mlp-10-10")
        if run.record.spec.settings == {"epochs": 2} and run.record.spec.full
    ]
    logged = [run.history[-1].train_accuracy for run in runs]
    assert len(logged) == 3
    assert checked.judgement.as_claimed.accuracy == pytest.approx(sum(logged) / 3)
    assert checked.judgement.honest.accuracy != checked.judgement.as_claimed.accuracy


def test_a_best_value_is_judged_on_validation_images(bench: Bench) -> None:
    checked = bench.verify("swept")["swept"]
    assert bench.fits("swept") == 3 + 3 * 2
    assert checked.judgement.verdict == "consistent"
    assert "the training loss is lowest at" in checked.note
    swept = [run for run in bench.runs("mlp-10-10") if run.record.spec.settings.get("schedule")]
    assert len(swept) == 3
    assert not any(run.record.spec.reads_test for run in swept)


def test_a_difference_is_of_two_settings(bench: Bench) -> None:
    checked = bench.verify("different")["different"]
    assert bench.fits("different") == 2
    assert checked.judgement.verdict == "too-high"
    assert checked.judgement.honest.accuracy is not None
    assert 0.1 < checked.judgement.honest.accuracy < 0.4
    assert checked.to_dict()["as_claimed"] == {"accuracy": None, "interval": None, "seeds": 0}


def test_held_out_images_apply_to_a_difference_but_not_to_a_best_value(
    bench: Bench,
) -> None:
    results = bench.verify("different-of-fewer", "best-of-fewer")
    assert bench.fits("different-of-fewer") == 2
    assert results["different-of-fewer"].judgement.verdict == "too-high"
    fewer = [run for run in bench.runs("knn") if run.record.spec.protocol == {
        "notes": [], "until": None,
        "split": {"kind": "official", "test": None, "validation": 0.5, "seed": 1},
    }]  # fmt: skip
    assert len(fewer) == 2
    assert all(run.measured is not None and len(run.measured.labels) == 1000 for run in fewer)
    assert results["best-of-fewer"].judgement.verdict == "consistent"


def test_an_order_takes_the_runs_of_its_claims(bench: Bench) -> None:
    results = bench.verify("clean", "worse", "order", "reversed")
    assert (bench.fits(), bench.fits("order"), bench.fits("reversed")) == (2, 0, 0)
    assert results["order"].judgement.verdict == "consistent"
    assert results["reversed"].judgement.verdict == "too-high"


def test_the_claims_of_an_order_take_its_runs(bench: Bench) -> None:
    results = bench.verify("reversed", "order", "worse", "clean")
    assert (bench.fits(), bench.fits("reversed")) == (2, 2)
    assert results["order"].judgement.verdict == "consistent"
    assert results["reversed"].judgement.verdict == "too-high"


def test_a_slow_recipe_is_replaced_and_not_verified(bench: Bench) -> None:
    checked = bench.verify("reduced")["reduced"]
    assert bench.fits("reduced") == 2
    assert checked.judgement.verdict == "cannot-be-checked"
    assert checked.judgement.honest.accuracy is not None
    assert "Not verified" in checked.note
    assert "Run instead with epochs 3 and 2 seeds" in checked.note


@pytest.mark.parametrize("options", [{}, {"time_limit": 2}])
def test_a_slow_recipe_without_a_smaller_one_is_left_out(
    bench: Bench, options: dict[str, Any]
) -> None:
    name = "reduced" if options else "too-slow"
    checked = bench.verify(name, **options)[name]
    assert bench.fits() == 0
    assert checked.judgement.honest.accuracy is None
    assert "Left out: one fit of the recipe is expected to take about 16 min 40 s" in checked.note
    assert not checked.failed


def test_a_claim_without_a_recipe_cannot_be_checked(bench: Bench) -> None:
    checked = bench.verify("unknown")["unknown"]
    assert bench.fits() == 0
    assert checked.judgement.verdict == "cannot-be-checked"
    assert checked.note == "There is no code of it."


def test_a_failed_fit_is_reported_and_the_others_continue(first: Bench, results: Results) -> None:
    failed = results["diverging"]
    assert failed.failed
    assert failed.judgement.verdict == "cannot-be-checked"
    assert "seed 0: the training loss became" in failed.note
    assert [name for name, checked in results.items() if checked.failed] == ["diverging"]
    assert not first.report.complete
    assert first.steps[-1].done == first.steps[-1].total


def test_after_a_failed_fit_running_ones_finish_and_no_more_start(bench: Bench) -> None:
    def script(spec: RunSpec) -> list[Any]:
        if spec.seed == 0:
            return [Attempt(spec=spec, status="failed", reason="it broke")]
        return [FitStep(done=1, total=2), FitStep(done=2, total=2), 0.8]

    bench.executor.script, bench.executor.at_once = script, 2
    results = bench.verify("diverging", "clean")
    assert [spec.seed for spec in bench.executor.specs if spec.model == "mlp-10-10"] == [0, 1]
    note = results["diverging"].note
    assert "seed 0: it broke. Saved so far: as claimed 1 of 3." in note
    reasons = [step.reason for step in bench.steps if step.kind == "failed"]
    assert reasons == ["it broke", "given up, since a fit failed"] * 2
    assert bench.steps[-1].done == bench.steps[-1].total


def test_nothing_is_fitted_again(again: Bench, results: Results) -> None:
    names = [name for name in CLAIMS if name != "diverging"]
    checked = again.verify(*names)
    assert again.fits() == 0
    assert checked == {name: results[name] for name in names}
    assert again.steps[-1].done == again.steps[-1].total


def test_a_budget_ends_the_work_and_the_same_command_resumes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: float(bench.fits()))  # one second per fit
    monkeypatch.setattr("fittingroom.bench.claims.verify.time", clock)
    results = bench.verify("searched", "clean", budget=8.5)  # one fit is expected to take eight
    assert bench.fits() == 1
    assert [c.judgement.verdict for c in results.values()] == ["cannot-be-checked"] * 2
    sentence = "resumes from here. Saved so far: as claimed 1 of 3, honest 0 of 4."
    assert sentence in results["searched"].note
    assert bench.report.complete, "nothing that was started failed"
    assert bench.steps[-1].done == bench.steps[-1].total
    assert sum(step.runs for step in bench.steps if step.kind != "started") == bench.steps[-1].total

    never = bench.verify("clean", budget=1)["clean"].note
    assert "more than the limit of 1 s" in never
    assert "resumes" not in never

    monkeypatch.undo()
    assert bench.verify("searched")["searched"].judgement.verdict != "cannot-be-checked"
    assert bench.fits() == 6, "but for the one that is saved"


def test_saved_runs_are_judged_whatever_the_limits(again: Bench, results: Results) -> None:
    limited = again.verify("leaked", budget=0.001, time_limit=0.001)["leaked"].judgement
    before = results["leaked"].judgement
    assert (limited.verdict, limited.accuracies) == (before.verdict, before.accuracies)


def test_claims_judged_together_share_the_error_probability(
    again: Bench, first: Bench, results: Results
) -> None:
    """Of a deterministic model: 1.96 · √2 thousandths for one claim, more for many."""

    def half(checked: ClaimResult) -> float:
        interval = checked.judgement.honest.interval
        assert interval is not None
        return (interval.high - interval.low) / 2

    alone = again.verify("clean")["clean"]
    assert again.report.alpha == 0.05
    assert again.report.interval_note.endswith("would lie, with 95% confidence.")
    assert half(alone) == pytest.approx(0.00277, abs=1e-5)
    judged = [
        name for name in CLAIMS if name not in ("unknown", "diverging", "too-slow", "reduced")
    ]
    assert first.report.alpha == pytest.approx(0.05 / len(judged))
    assert first.report.interval_note.endswith("the honest ones hold jointly with 95% confidence.")
    z = float(special.ndtri(1 - first.report.alpha / 2))
    assert half(results["clean"]) == pytest.approx(z * 2**0.5 / 1000, rel=1e-6)


def test_data_in_memory_reaches_the_child(small: Dataset, tmp_path: Path) -> None:
    """With real processes."""
    arrays = [array for part in (small.train, small.test) for array in (part.images, part.labels)]
    bench = Bench(tmp_path, Dataset.from_arrays(*arrays, name="mine"))
    assert bench.verify("leaked")["leaked"].judgement.verdict == "not-what-it-says"


def test_check_of_a_plan_equals_verify(bench: Bench, small: Dataset, tmp_path: Path) -> None:
    verified = bench.verify("leaked", "too-slow")
    store = open_store(tmp_path / "report", small)
    claims = load_claims([str(tmp_path / f"{name}.toml") for name in verified])
    plans = plan_claims(claims, ClaimStore(store, small), 3, 60)
    assert [plan.n_fits for plan in plans] == [2, 0]
    report = check(plans, small, store, limits=Limits(seconds=60))
    assert {checked.claim.id: checked for checked in report.claims} == verified
    assert len(bench.executor.jobs) == 4


def test_an_empty_list_of_claims_is_rejected(bench: Bench) -> None:
    with pytest.raises(UsageError, match="name at least one"):
        bench.verify()
    with pytest.raises(UsageError, match="n_seeds is 0"):
        bench.verify("clean", n_seeds=0)
    with pytest.raises(UsageError, match="--on takes local:N"):
        bench.verify("clean", on="elsewhere")


@pytest.mark.parametrize(
    "real", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["scripted", "real"]
)
def test_parallel_fits_lead_to_the_same_verdict(
    tmp_path: Path, small: Dataset, scripted: Callable[..., Any], real: bool
) -> None:
    results = []
    for at_once in (1, 2):
        (folder := tmp_path / str(at_once)).mkdir()
        names, on = ("searched", "diverging"), f"local:{at_once}"
        if real:
            results.append(Bench(folder, small).verify(*names, on=on))
        else:
            with scripted(at_once=at_once) as executor:
                results.append(Bench(folder, small, executor).verify(*names, on=on))
            assert executor.most == at_once
    for name in ("searched", "diverging"):
        one, two = (by_name[name] for by_name in results)
        assert one.judgement == two.judgement
        assert (one.failed, one.note) == (two.failed, two.note)
    assert results[0]["diverging"].failed


def test_an_unreadable_run_costs_only_its_claim(bench: Bench) -> None:
    bench.verify("clean", "worse", n_seeds=1)
    store = find_store(bench.folder / "runs")
    for run in store.runs():
        if run.record.spec.settings == {}:
            (run.folder / "run.json").write_text("{")
    checked = bench.verify("clean", "worse", n_seeds=1)
    assert bench.fits() == 0
    assert checked["clean"].judgement.verdict == "cannot-be-checked"
    assert checked["clean"].failed
    assert "run.json can't be read" in checked["clean"].note
    assert checked["worse"].judgement.verdict != "cannot-be-checked"
