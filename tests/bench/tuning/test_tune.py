from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.progress import Progress
from fittingroom.bench.tuning.search import open_search
from fittingroom.bench.tuning.space import parse_space
from fittingroom.bench.tuning.tune import _usual_seconds, study_name, tune
from fittingroom.bench.tuning.tuning import Status, Tuning
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import TrainingError, UsageError
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.local import LocalExecutor
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.run import Part
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import find_store, open_store

WRITTEN = {"learning_rate": "1e-3..1e-1:log", "batch_size": "32|64", "epochs": "3"}
TRIALS = 12


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, scripted: Callable[..., Any], small_folder: Path
) -> tuple[Tuning, Path]:
    """A search whose trials are really fitted, but in this process."""
    runs = tmp_path_factory.mktemp("tuned")
    space = parse_space(WRITTEN)
    with scripted() as executor:
        tuning = tune(small_folder, "mlp-10-10", space=space, trials=TRIALS, runs=runs)
    assert len(executor.jobs) == TRIALS + 1
    assert not any(job.keep_model for job in executor.jobs[:-1])
    return tuning, runs


def test_every_trial_is_a_run_that_left_the_test_split_unread(
    tuned: tuple[Tuning, Path], small: Dataset
) -> None:
    tuning, runs = tuned
    store = find_store(runs / "tune")
    assert tuning.complete
    assert [trial.status for trial in tuning.trials] == ["ok"] * TRIALS
    assert {r.record.spec.folder_name for r in store.runs()} == {
        str(trial.run).split("/")[1] for trial in tuning.trials
    }
    choose = validation_split(small.train.labels).selection
    for run, trial in ((store.folder / str(t.run), t) for t in tuning.trials):
        record = json.loads((run / "run.json").read_text())
        assert record["asked"]["reads_test"] is False
        assert record["overrides"] == trial.settings
        with np.load(run / "predictions.npz") as arrays:
            assert not [name for name in arrays if name.startswith("test")]
            right = arrays["validation_probabilities"].argmax(1) == arrays["validation_labels"]
            of_choice = np.isin(arrays["validation_index"], choose)
        assert trial.accuracy == right[of_choice].mean()
    assert tuning.best is not None
    assert tuning.best.accuracy == max(trial.accuracy or 0 for trial in tuning.trials)


def test_the_best_is_fitted_once_more_and_reads_the_test_split(
    tuned: tuple[Tuning, Path],
) -> None:
    tuning, runs = tuned
    (run,) = find_store(next(runs.glob("fashion-*"))).runs()
    assert tuning.best is not None
    assert run.record.spec.settings == tuning.best.settings
    assert run.record.trained_on == 1800
    assert run.test is not None
    assert tuning.test is not None
    assert tuning.test.accuracy == run.test.correct.mean()
    low, high = tuning.test.this_fit_ci95
    assert low < tuning.test.accuracy < high


def test_the_result_is_json(tuned: tuple[Tuning, Path], small_folder: Path) -> None:
    tuning, _ = tuned
    fields = json.loads(tuning.to_json())
    assert fields["schema_version"] == 1
    assert fields["best"]["settings"]["epochs"] == 3
    assert fields["best"]["command"].startswith(
        f"fittingroom fit mlp-10-10 --dataset {small_folder}"
    )
    assert fields["overstatement"]["trials"] == TRIALS
    assert fields["overstatement"]["observed"] == fields["best"]["accuracy"]
    assert fields["overstatement"]["images"] == 100
    assert set(fields["importance"]) == {"learning_rate", "batch_size"}
    frame = tuning.to_frame()
    assert list(frame["batch_size"]) == [t.settings["batch_size"] for t in tuning.trials]  # type: ignore[index]


def test_saved_trials_are_not_fitted_again(
    tuned: tuple[Tuning, Path], scripted: Callable[..., Any], small_folder: Path
) -> None:
    tuning, runs = tuned
    steps: list[Progress] = []
    with scripted() as executor:
        again = tune(
            *(small_folder, "mlp-10-10"),
            space=parse_space(dict(reversed(WRITTEN.items()))),
            trials=TRIALS,
            runs=runs,
            on_progress=steps.append,
        )
    assert executor.jobs == []
    assert [step.kind for step in steps] == ["saved"]  # the last fit, which is saved too
    assert again.trials == tuning.trials
    assert again.test == tuning.test
    shorter = tune(
        small_folder, "mlp-10-10", space=parse_space(WRITTEN), time_limit=1e-9, runs=runs
    )
    assert not shorter.complete
    assert shorter.trials == tuning.trials


def test_runs_of_another_search_are_not_fitted_again(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    """Its trials are reported as saved, in one step each."""
    options: dict[str, Any] = {"sampler": "grid", "refit": False, "runs": tmp_path}
    steps: list[Progress] = []
    with scripted(lambda _: [0.8]) as executor:
        tune(small_folder, "knn", space=parse_space({"n_neighbors": "1|3"}), **options)
        space = parse_space({"n_neighbors": "1|3|5"})
        tuning = tune(small_folder, "knn", space=space, on_progress=steps.append, **options)
    assert [spec.settings["n_neighbors"] for spec in executor.specs] == [1, 3, 5]
    assert [trial.status for trial in tuning.trials] == ["ok"] * 3
    assert [step.kind for step in steps] == ["saved", "saved", "started", "saved"]
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (2, 3), (3, 3)]
    assert [step.model for step in steps] == [f"knn trial {n}" for n in (0, 1, 2, 2)]
    assert steps[-1].note == "0.8000, best 0.8000"


def test_a_grid_written_in_another_order_is_resumed(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    written = {"n_neighbors": "1|3", "weights": "uniform|distance"}
    options: dict[str, Any] = {"sampler": "grid", "refit": False, "runs": tmp_path}
    with scripted(lambda _: [0.8]) as executor:
        tune(small_folder, "knn", space=parse_space(written), trials=2, **options)
        other = parse_space(dict(reversed(written.items())))
        tuning = tune(small_folder, "knn", space=other, **options)
    assert tuning.complete
    assert len(executor.jobs) == 4
    assert len({str(sorted((trial.settings or {}).items())) for trial in tuning.trials}) == 4


def test_the_last_fit_counts_towards_the_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scripted: Callable[..., Any],
    small_folder: Path,
) -> None:
    monkeypatch.setattr("fittingroom.bench.tuning.tune._usual_seconds", lambda _: 1000.0)
    options: dict[str, Any] = {"space": parse_space({"n_neighbors": "1|3"}), "trials": 1}
    options |= {"runs": tmp_path, "time_limit": 1500}
    with scripted(lambda _: [0.8]):
        assert tune(small_folder, "knn", **options).trials == ()
        assert len(tune(small_folder, "knn", refit=False, **options).trials) == 1


def test_the_usual_seconds_are_of_finished_trials(tuning: Tuning) -> None:
    ended: list[tuple[Status, float]] = [
        *(("ok", 10.0), ("ok", 30.0), ("ok", 20.0)),
        *(("pruned", 1.0), ("failed", 0.1)),
    ]
    trials = [
        dataclasses.replace(tuning.trials[0], status=status, fit_seconds=seconds)
        for status, seconds in ended
    ]
    assert _usual_seconds(SimpleNamespace(rows=lambda: trials)) == 20.0  # type: ignore[arg-type]
    assert _usual_seconds(SimpleNamespace(rows=list)) == 0.0  # type: ignore[arg-type]


def test_parallel_trials_equal_sequential_ones(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    """A grid doesn't depend on earlier results."""
    space = parse_space({"n_neighbors": "1|3|5|7"})
    options: dict[str, Any] = {"space": space, "sampler": "grid", "refit": False}
    with scripted():
        one = tune(small_folder, "knn", runs=tmp_path / "one", **options)
    steps: list[Progress] = []
    with scripted(at_once=2) as executor:
        two = tune(
            *(small_folder, "knn"),
            runs=tmp_path / "two",
            on="local:2",
            memory_limit=2**33,
            on_progress=steps.append,
            **options,
        )
    assert executor.most == 2
    assert executor.opened == [("local:2", Limits(memory=2**33))]
    assert {step.at_once for step in steps} == {2}
    assert two.complete
    assert len(two.trials) == 4
    for first, second in zip(one.trials, two.trials, strict=True):
        assert (first.settings, first.accuracy) == (second.settings, second.accuracy)
    with pytest.raises(UsageError, match="--on takes local:N"):
        tune(small_folder, "knn", runs=tmp_path / "three", on="elsewhere", **options)


def test_random_test_labels_change_no_selection(
    small: Dataset, tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    """Whatever the test split holds: the same trials, the same accuracies, the same best."""
    random = np.random.RandomState(0)
    other = Dataset.from_arrays(
        small.train.images,
        small.train.labels,
        small.test.images,
        random.randint(10, size=len(small.test)),
        name="other",
    )
    other.write_idx(tmp_path / "other")
    space = parse_space({"n_neighbors": "1..9", "weights": "uniform|distance"})
    with scripted():
        tunings = [
            tune(data, "knn", space=space, trials=5, refit=False, runs=tmp_path / "runs")
            for data in (small_folder, tmp_path / "other")
        ]
    settings = [[(t.settings, t.accuracy) for t in tuning.trials] for tuning in tunings]
    assert settings[0] == settings[1]
    assert tunings[0].recipe() == tunings[1].recipe()
    assert tunings[0].test is None
    assert tunings[0].overstatement == tunings[1].overstatement


def test_a_trial_that_diverges_or_is_pruned_says_so(
    tmp_path: Path, small: Dataset, scripted: Callable[..., Any], small_folder: Path
) -> None:
    rates = [0.01, 0.02, 0.03, 0.04, 0.05, 1e30, 1e-9]
    space = parse_space({"learning_rate": rates, "epochs": 2})
    steps: list[Progress] = []
    store = open_store(tmp_path / "tune", small)

    def script(spec: RunSpec) -> Any:
        if spec.settings["learning_rate"] == 1e30:
            yield "fit"
            return
        good = spec.settings["learning_rate"] > 1e-9
        for epoch in (1, 2):
            checkpoint = store.checkpoint_path(spec)
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_text("as a network leaves it")
            yield FitStep(done=epoch, total=2, accuracy=0.8 if good else 0.1)
        checkpoint.unlink()
        yield 0.8

    with scripted(script) as executor:
        tuning = tune(
            *(small_folder, "mlp-10-10"),
            space=space,
            sampler="grid",
            prune=True,
            refit=False,
            runs=tmp_path,
            on_progress=steps.append,
        )
    statuses = {t.settings["learning_rate"]: t.status for t in tuning.trials if t.settings}
    assert statuses == {**dict.fromkeys(rates[:5], "ok"), 1e-9: "pruned", 1e30: "nan"}
    diverged, pruned = tuning.trials[5:]
    assert pruned.reason == "worse than the median after epoch 1"
    assert "in epoch 1" in str(diverged.reason)
    failed = [step.reason for step in steps if step.kind == "failed"]
    assert failed == [diverged.reason, f"pruned, {pruned.reason}"]
    assert [spec.settings["learning_rate"] for spec in executor.stopped] == [1e-9]
    of_pruned = [step for step in steps if step.model == "mlp-10-10 trial 6"]
    assert [step.kind for step in of_pruned] == ["started", "step", "failed"]
    assert of_pruned[1].step == FitStep(done=1, total=2, accuracy=0.1)
    assert [step.done for step in of_pruned] == [6, 6, 7]
    assert tuning.complete
    assert tuning.overstatement is not None
    assert tuning.overstatement.models == 5
    assert not list(tmp_path.glob("tune/*/*/.checkpoint*"))


def test_without_pruning_no_trial_is_stopped(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    def script(spec: RunSpec) -> list[Any]:
        accuracy = 0.8 if spec.settings["n_neighbors"] < 500 else 0.1
        return [FitStep(done=1, total=2, accuracy=accuracy), accuracy]

    space = parse_space({"n_neighbors": [1, 2, 3, 4, 5, 500]})
    with scripted(script) as executor:
        tuning = tune(small_folder, "knn", space=space, sampler="grid", refit=False, runs=tmp_path)
    assert executor.stopped == []
    assert [trial.status for trial in tuning.trials] == ["ok"] * 6


def test_settings_that_contradict_each_other_are_failed_trials(
    tmp_path: Path, small_folder: Path
) -> None:
    steps: list[Progress] = []
    options: dict[str, Any] = {"sampler": "grid", "trials": 1, "refit": False, "runs": tmp_path}
    options["space"] = parse_space({"optimizer": "adam|sgd", "momentum": "0.9|0.8"})
    tuning = tune(small_folder, "mlp-10-10", on_progress=steps.append, **options)
    assert [(step.kind, step.done, step.total) for step in steps] == [("failed", 1, 1)]
    assert [trial.status for trial in tuning.trials] == ["failed"]
    assert "adam takes no momentum" in str(tuning.trials[0].reason)
    assert tuning.best is None
    assert tuning.overstatement is None
    assert json.loads(tuning.to_json())["best"] is None


def test_an_error_not_due_to_the_settings_ends_the_search_and_fails_no_trial(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real processes; the data change before the first has begun."""

    def written(labels: Any) -> Path:
        arrays = (small.train.images, labels, small.test.images, small.test.labels)
        Dataset.from_arrays(*arrays, name="other").write_idx(tmp_path / "data")
        return tmp_path / "data"

    submit = LocalExecutor.submit

    def change_and_submit(executor: LocalExecutor, job: Job) -> None:
        written(np.roll(small.train.labels, 1))
        submit(executor, job)

    options: dict[str, Any] = {"space": parse_space({"n_neighbors": "1|3"}), "sampler": "grid"}
    options |= {"refit": False, "runs": tmp_path / "runs"}
    with monkeypatch.context() as patched:
        patched.setattr(LocalExecutor, "submit", change_and_submit)
        with pytest.raises(
            TrainingError,
            match=r"trial 0 wasn't fitted and will be retried.*changed while it was in use",
        ):
            tune(written(small.train.labels), "knn", **options)
    tuning = tune(written(small.train.labels), "knn", **options)
    assert [trial.status for trial in tuning.trials] == ["ok", "ok"]


def test_an_error_that_ends_the_search_puts_running_trials_back(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    def full_disk(spec: RunSpec) -> list[Any]:
        if spec.settings["n_neighbors"] == 1:
            return [Attempt(spec=spec, status="interrupted", reason="the disk is full")]
        return [FitStep(done=1, total=1)] * 9

    options: dict[str, Any] = {"space": parse_space({"n_neighbors": "1|3|5"}), "sampler": "grid"}
    options |= {"refit": False, "runs": tmp_path}
    with scripted(full_disk, at_once=2) as executor:
        with pytest.raises(
            TrainingError, match=r"trial 0 wasn't fitted and will be retried.*: the disk is full"
        ):
            tune(small_folder, "knn", **options)
        assert [spec.settings["n_neighbors"] for spec in executor.ended] == [3]
    with scripted(lambda _: [0.8]) as executor:
        tuning = tune(small_folder, "knn", **options)
    assert len(executor.jobs) == 3
    assert [trial.status for trial in tuning.trials] == ["ok"] * 3


def test_ctrl_c_puts_trials_back_and_shows_the_result_so_far(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    def interrupt(step: Progress) -> None:
        if step.kind == "started" and step.done == 1:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"space": parse_space({"n_neighbors": "1|3|5"}), "sampler": "grid"}
    options |= {"runs": tmp_path}
    with scripted(lambda _: [0.8]) as executor:
        tuning = tune(small_folder, "knn", on_progress=interrupt, **options)
        assert executor.ended == executor.specs[1:]
        assert [trial.status for trial in tuning.trials] == ["ok", "waiting"]
        assert (tuning.interrupted, tuning.test, tuning.complete) == (True, None, False)
        tuning = tune(small_folder, "knn", **options)
    assert [trial.status for trial in tuning.trials] == ["ok"] * 3
    assert tuning.test is not None


def test_an_unreadable_run_is_a_failed_trial(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    options: dict[str, Any] = {"sampler": "grid", "refit": False, "runs": tmp_path}
    with scripted(lambda _: [0.8]) as executor:
        tune(small_folder, "knn", space=parse_space({"n_neighbors": "1|3"}), **options)
        (run, _) = find_store(tmp_path / "tune").runs()
        (run.folder / "run.json").write_text("{")
        tuning = tune(small_folder, "knn", space=parse_space({"n_neighbors": "1|3|5"}), **options)
    assert len(executor.jobs) == 3
    assert sorted(trial.status for trial in tuning.trials) == ["failed", "ok", "ok"]
    (failed,) = [trial for trial in tuning.trials if trial.status == "failed"]
    assert "run.json can't be read" in str(failed.reason)


def test_a_last_fit_that_fails_does_not_lose_the_search(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scripted: Callable[..., Any],
    small_folder: Path,
) -> None:
    arguments: dict[str, Any] = {}

    def fails(*_: Any, **options: Any) -> Any:
        arguments.update(options)
        raise TrainingError("it needed more memory.")

    monkeypatch.setattr("fittingroom.bench.tuning.tune.fit_spec", fails)
    space = parse_space({"n_neighbors": "1|3"})
    with scripted(lambda _: [0.8]):
        tuning = tune(
            *(small_folder, "knn"),
            space=space,
            trials=1,
            memory_limit=2**33,
            runs=tmp_path,
            on="local:2",
        )
    assert (arguments["on"], arguments["limits"]) == ("local:2", Limits(memory=2**33))
    assert tuning.best is not None
    assert (tuning.test, tuning.test_failure) == (None, "it needed more memory.")
    fields = json.loads(tuning.to_json())
    assert (fields["test"], fields["untested"]) == (None, "it needed more memory.")


def test_folds_select_among_models_by_all_training_images(
    tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    space = parse_space({"model": "knn|logistic"})
    options: dict[str, Any] = {"sampler": "grid", "folds": 2, "refit": False, "runs": tmp_path}
    with scripted():
        tuning = tune(small_folder, "knn", space=space, **options)
    assert [trial.status for trial in tuning.trials] == ["ok", "ok"]
    assert tuning.overstatement is not None
    assert tuning.overstatement.images == 2000
    assert tuning.recipe() == ("logistic", {})
    assert tuning.command == f"fittingroom fit logistic --dataset {small_folder} --runs {tmp_path}"


def test_a_trial_is_pruned_after_a_bad_fold(
    tmp_path: Path, small: Dataset, scripted: Callable[..., Any], small_folder: Path
) -> None:
    store = open_store(tmp_path / "tune", small)

    def script(spec: RunSpec) -> Any:
        if not spec.folds:
            yield "fit"
            return
        accuracy = 0.1 if spec.settings["n_neighbors"] == 500 else 0.8
        for fold in range(2):
            guesses = np.full((1, 10), 0.1, np.float32)
            store.save_fold(spec, fold, Part(np.arange(1), guesses, np.zeros(1, int)))
            yield FitStep(done=fold + 1, total=2, accuracy=accuracy, unit="fold")
        store.remove_folds(spec)
        yield accuracy

    space = parse_space({"n_neighbors": [1, 2, 3, 4, 5, 500]})
    options: dict[str, Any] = {"sampler": "grid", "folds": 2, "prune": True, "runs": tmp_path}
    with scripted(script):
        tuning = tune(small_folder, "knn", space=space, **options)
    assert [trial.status for trial in tuning.trials] == [*["ok"] * 5, "pruned"]
    assert tuning.trials[-1].reason == "worse than the median after fold 1"
    assert len(find_store(tmp_path / "tune").runs()) == 5
    assert not list(tmp_path.glob("tune/*/*/.folds-*")), "of it nothing is left"
    (last,) = find_store(next(tmp_path.glob("fashion-*"))).runs()
    assert (last.record.trained_on, last.record.spec.folds) == (1800, 0)


def test_no_last_fit_while_another_process_runs_trials(
    small: Dataset, tmp_path: Path, scripted: Callable[..., Any], small_folder: Path
) -> None:
    """The process that finishes last makes it, so that the test split is read once."""
    space = parse_space({"n_neighbors": "1|3"})
    store = open_store(tmp_path / "tune", small)
    url = f"sqlite:///{(store.folder / 'studies.sqlite3').resolve()}"
    name = study_name(small, "knn", space, "grid", 0, 0)
    with closing(open_search(url, name, space, sampler="grid", seed=0)) as other:
        assert other.ask(2) is not None
        with scripted(lambda _: [0.8]):
            tuning = tune(small_folder, "knn", space=space, sampler="grid", runs=tmp_path)
    assert [trial.status for trial in tuning.trials] == ["running", "ok"]
    assert (tuning.test, tuning.complete) == (None, False)
    assert not list(tmp_path.glob("fashion-*"))


def test_invalid_numbers_are_rejected(tmp_path: Path, small_folder: Path) -> None:
    with pytest.raises(UsageError, match="--trials is 0"):
        tune(small_folder, "knn", trials=0, runs=tmp_path)
    with pytest.raises(UsageError, match="cross-validation needs at least 2 folds, not 1"):
        tune(small_folder, "knn", folds=1, runs=tmp_path)
    assert not (tmp_path / "tune").exists()


def started(small_folder: Path, folder: Path) -> subprocess.Popen[str]:
    settings = [part for name, what in WRITTEN.items() for part in ("--set", f"{name}={what}")]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "fittingroom.cli.main", "tune", "mlp-10-10", *settings),
            *("--dataset", str(small_folder), "--trials", str(TRIALS), "--runs", str(folder)),
        ],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=dict(os.environ),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(folder: Path) -> int:
    return len(list(folder.glob("tune/*/mlp-10-10/*/run.json")))


def wait_for(process: subprocess.Popen[str], folder: Path, runs: int) -> None:
    deadline = time.monotonic() + 60
    while finished(folder) < runs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ended_by", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_an_interrupted_search_has_the_result_of_an_uninterrupted_one(
    ended_by: signal.Signals, tuned: tuple[Tuning, Path], tmp_path: Path, small_folder: Path
) -> None:
    process = started(small_folder, tmp_path)
    wait_for(process, tmp_path, 3)
    os.killpg(process.pid, ended_by)
    printed, errors = process.communicate(timeout=60)
    assert 3 <= finished(tmp_path) < TRIALS
    if ended_by == signal.SIGINT:
        assert process.returncode == 130, errors
        assert "The same command resumes the search." in errors
        assert "The best of" in printed
        assert "fittingroom fit mlp-10-10" in printed
        (saved,) = (p for p in tmp_path.glob("tune/*/mlp*.json") if "best" not in p.name)
        so_far: dict[str, Any] = json.loads(saved.read_text())
        assert not so_far["complete"]
        assert so_far["test"] is None

    space = parse_space(WRITTEN)
    tuning = tune(small_folder, "mlp-10-10", space=space, trials=TRIALS, refit=False, runs=tmp_path)

    def without_times(tuning: Tuning) -> list[tuple[Any, ...]]:
        return [(t.number, t.status, t.settings, t.accuracy, t.run) for t in tuning.trials]

    assert without_times(tuning) == without_times(tuned[0])
    assert tuning.overstatement == tuned[0].overstatement
    assert tuning.recipe() == tuned[0].recipe()
