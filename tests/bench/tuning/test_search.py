"""Trials in a database, with real processes and without any fit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, ProgrammingError

from fittingroom.bench.tuning import owner
from fittingroom.bench.tuning.search import OwnedTrial, Search, hide_password, open_search
from fittingroom.bench.tuning.space import parse_space
from fittingroom.errors import StoreError, UnknownNameError, UsageError

SPACE = parse_space({"x": "0.001..1:log", "n": "1..9", "k": "a|b|c", "epochs": 1})

#: A process that takes and finishes trials until there are enough, or takes one and waits.
WORKER = """
import sys, time
from fittingroom.bench.tuning.search import open_search
from fittingroom.bench.tuning.space import parse_space
space = parse_space({"x": "0.001..1:log", "n": "1..9", "k": "a|b|c", "epochs": 1})
search = open_search(sys.argv[1], "s", space, sampler="tpe", seed=0)
while trial := search.ask(int(sys.argv[2])):
    print(trial.number, flush=True)
    if sys.argv[3] == "hangs":
        time.sleep(600)
    search.finish(trial, trial.settings["x"])
"""

#: No process has this number.
NOBODY = 2**30


@pytest.fixture(autouse=True)
def no_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python 3.13 warns of connections to SQLite that are never closed."""
    make, searches = Search.__init__, list[Search]()

    def remember(search: Search, *arguments: Any) -> None:
        make(search, *arguments)
        searches.append(search)

    monkeypatch.setattr(Search, "__init__", remember)
    yield
    for search in searches:
        search.close()


def opened(folder: Path, sampler: str = "tpe", seed: int = 0, **options: Any) -> Search:
    url = f"sqlite:///{folder / 'studies.sqlite3'}"
    return open_search(url, "s", SPACE, sampler=sampler, seed=seed, **options)


def worker(place: Path | str, how: str, trials: int = 20) -> Any:
    url = place if isinstance(place, str) else f"sqlite:///{place / 'studies.sqlite3'}"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, str(trials), how],
        stdout=subprocess.PIPE,
        text=True,
    )


def tried(search: Search, trials: int) -> list[dict[str, Any]]:
    """Take and finish trials until there are enough: their settings in order."""
    while trial := search.ask(trials):
        search.finish(trial, float(trial.settings["x"]))
    return [search.settings(row) or {} for row in search.rows()]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_gives_the_same_trials(tmp_path: Path, sampler: str) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "other").mkdir()
    first = tried(opened(tmp_path, sampler), 12)
    assert len({str(settings) for settings in first}) == 12
    assert all(settings["epochs"] == 1 for settings in first)
    # In two steps, with a new sampler.
    tried(opened(tmp_path / "again", sampler), 7)
    assert tried(opened(tmp_path / "again", sampler), 12) == first
    assert tried(opened(tmp_path / "other", sampler, seed=1), 12) != first


def test_a_grid_is_tried_once(tmp_path: Path) -> None:
    space = parse_space({"n": "1..3", "k": "a|b"})
    url = f"sqlite:///{tmp_path / 's'}"
    search = open_search(url, "s", space, sampler="grid", seed=0)
    assert tried_grid(search, 100) == [
        {"n": n, "k": k} for k in ("a", "b") for n in (1, 2, 3)
    ]  # each once, although more were requested
    assert search.ask(100) is None


def tried_grid(search: Search, trials: int) -> list[dict[str, Any]]:
    while trial := search.ask(trials):
        search.finish(trial, 0.5)
    return [search.settings(row) or {} for row in search.rows()]


@pytest.mark.slow
def test_the_trial_of_a_killed_process_goes_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "undisturbed").mkdir()
    expected = tried(opened(tmp_path / "undisturbed"), 12)
    search = opened(tmp_path)
    tried(search, 5)
    process = worker(tmp_path, "hangs")
    assert process.stdout.readline().strip() == "5"
    assert [row.state for row in search.rows()][5] == TrialState.RUNNING
    assert search.ask(6) is None, "while it lives the trial is its own"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    trial = search.ask(12)
    assert trial is not None
    assert trial.number == 5
    assert dict(trial.settings) == expected[5]
    search.finish(trial, float(trial.settings["x"]))
    assert tried(search, 12) == expected
    assert len(search.rows()) == 12


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path: Path) -> None:
    processes = [worker(tmp_path, "works", 12) for _ in range(2)]
    numbers = [
        int(line) for process in processes for line in process.communicate(timeout=60)[0].split()
    ]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(numbers) == list(range(12))
    rows = opened(tmp_path).rows()
    assert [row.state for row in rows] == [TrialState.COMPLETE] * 12
    assert len({str(row.params) for row in rows}) == 12


@pytest.mark.skipif("FITTINGROOM_POSTGRES" not in os.environ, reason="no URL of a database")
def test_two_processes_share_a_study_in_postgresql() -> None:
    """With psycopg, and FITTINGROOM_POSTGRES the URL of an empty database."""
    url = os.environ["FITTINGROOM_POSTGRES"]
    processes = [worker(url, "works", 12) for _ in range(3)]
    numbers = [int(n) for p in processes for n in p.communicate(timeout=60)[0].split()]
    assert sorted(numbers) == list(range(12))
    process = worker(url, "hangs", 13)
    assert process.stdout.readline().strip() == "12"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with closing(open_search(url, "s", SPACE, sampler="tpe", seed=0)) as search:
        assert len(tried(search, 13)) == 13
        assert ["first" in row.user_attrs for row in search.rows()] == [False] * 12 + [True]


def test_a_database_whose_tables_are_being_created_is_opened_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, attempts = optuna.storages.RDBStorage.__init__, []

    def too_early(*arguments: Any, **options: Any) -> None:
        attempts.append(arguments)
        if len(attempts) <= 2:
            kind = (IntegrityError, ProgrammingError)[len(attempts) - 1]
            raise kind("CREATE TABLE studies", None, Exception("it is there"))
        make(*arguments, **options)

    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", too_early)
    monkeypatch.setattr("fittingroom.bench.tuning.search.PAUSES", (0.0, 0.0))
    assert opened(tmp_path).ask(1) is not None
    assert len(attempts) == 3


def test_an_interrupted_trial_is_put_back(tmp_path: Path) -> None:
    search = opened(tmp_path)
    trial = search.ask(3)
    assert trial is not None
    with pytest.raises(KeyboardInterrupt), search.holding(trial):
        raise KeyboardInterrupt
    (row,) = search.rows()
    assert row.state == TrialState.WAITING
    again = search.ask(1)
    assert again is not None
    assert dict(again.settings) == dict(trial.settings)
    # A process that was considered dead and comes back changes nothing.
    search.finish(trial, 0.9)
    search.finish(again, 0.5)
    assert [row.value for row in search.rows()] == [0.5]


def test_an_orphan_that_two_processes_see_is_fitted_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    orphan = other.ask(2)
    assert orphan is not None
    orphan.trial.set_user_attr("owner", {**owner.owner(), "pid": NOBODY})
    end = one._storage.set_trial_state_values
    theirs: list[OwnedTrial | None] = []

    def ends_late(*arguments: Any, **options: Any) -> bool:
        """Before one process ends the orphan's attempt, the other puts it back and takes it."""
        if not theirs:
            theirs.append(None)
            theirs[0] = other.ask(2)
        return end(*arguments, **options)

    monkeypatch.setattr(one._storage, "set_trial_state_values", ends_late)
    ours = one.ask(2)
    assert [trial and trial.number for trial in (ours, *theirs)] == [1, 0]
    assert ours is not None
    assert theirs[0] is not None
    assert dict(theirs[0].settings) == dict(orphan.settings)
    one.finish(ours, 0.4)
    other.finish(theirs[0], 0.5)
    assert one.ask(2) is None
    assert [row.value for row in one.rows()] == [0.5, 0.4]


@pytest.mark.parametrize("how", ["finish", "prune", "fail"])
def test_a_trial_put_back_twice_is_not_handed_out_after_its_end(tmp_path: Path, how: str) -> None:
    """As after a kill between putting a trial back and ending its attempt."""
    search = opened(tmp_path)
    orphan = search.ask(1)
    assert orphan is not None
    orphan.trial.set_user_attr("owner", {**owner.owner(), "pid": NOBODY})
    search.study.enqueue_trial(orphan.trial.params, user_attrs={"first": 0})
    again = search.ask(1)
    assert again is not None
    ends = {
        "finish": lambda: search.finish(again, 0.5),
        "prune": lambda: search.prune(again, reason="bad"),
        "fail": lambda: search.fail(again, status="nan"),
    }
    ends[how]()
    (row,) = search.rows()
    assert row.number == again.trial.number
    assert search.ask(1) is None
    following = search.ask(2)  # not the waiting second attempt
    assert following is not None
    assert following.number == 1
    assert search.rows()[0].number == again.trial.number


def test_a_process_considered_dead_reports_nothing(tmp_path: Path) -> None:
    search = opened(tmp_path, prune=True)
    trial = search.ask(1)
    assert trial is not None
    search.study.tell(trial.trial.number, state=TrialState.FAIL)
    assert not search.report(trial, 1, 0.5)


def test_the_owner_of_a_trial_sends_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "BEAT", 0.01)
    search = opened(tmp_path)
    trial = search.ask(1)
    assert trial is not None
    with search.holding(trial):
        deadline = time.monotonic() + 60
        while "beat" not in search.rows()[0].user_attrs:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_process_elsewhere_without_heartbeats_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (owner.BEAT, owner.SILENCE) == (20, 120), "as the documentation says"
    search = opened(tmp_path)
    trial = search.ask(1)
    assert trial is not None
    monkeypatch.setattr("fittingroom.files.this_machine", lambda: "another machine")
    assert search.ask(1) is None  # it may be alive
    trial.trial.set_user_attr("beat", time.time() - owner.SILENCE - 1)
    again = search.ask(1)
    assert again is not None
    assert again.number == 0


def test_a_trial_worse_than_the_median_is_pruned(tmp_path: Path) -> None:
    search = opened(tmp_path, prune=True)
    for accuracy in (0.5, 0.6, 0.7, 0.8, 0.2, 0.1):  # pruning starts after five trials
        trial = search.ask(6)
        assert trial is not None
        pruned = search.report(trial, 1, accuracy)
        assert pruned == (accuracy == 0.1)
        if pruned:
            search.prune(trial, reason="bad")
        else:
            search.finish(trial, accuracy)
    assert search.rows()[-1].state == TrialState.PRUNED


def test_a_resumed_trial_is_pruned_as_if_uninterrupted(tmp_path: Path) -> None:
    """Its reports from before count: the median is compared with its best."""
    search = opened(tmp_path, prune=True)
    for _ in range(5):
        trial = search.ask(6)
        assert trial is not None
        search.report(trial, 1, 0.5)
        search.report(trial, 2, 0.5)
        search.finish(trial, 0.5)
    trial = search.ask(6)
    assert trial is not None
    assert not search.report(trial, 1, 0.9)
    with pytest.raises(KeyboardInterrupt), search.holding(trial):
        raise KeyboardInterrupt
    again = search.ask(6)
    assert again is not None
    assert dict(again.settings) == dict(trial.settings)
    assert not search.report(again, 2, 0.1)
    assert not search.report(again, 1, 0.9)  # by a process without a checkpoint


def test_importance_ranks_the_parameters(tmp_path: Path) -> None:
    search = opened(tmp_path, "random")
    tried(search, 9)
    assert search.importance() is None
    tried(search, 10)
    assert search.importance() is not None
    tried(search, 25)
    shares = search.importance()
    assert shares is not None
    assert next(iter(shares)) == "x"
    assert shares["x"] > 0.7
    assert sum(shares.values()) == pytest.approx(1)


def test_an_invalid_database_is_one_sentence(tmp_path: Path) -> None:
    def opening(url: str, sampler: str = "tpe") -> None:
        open_search(url, "s", SPACE, sampler=sampler, seed=0)

    with pytest.raises(UsageError, match="must be the URL of a database"):
        opening("studies")
    (tmp_path / "text").write_text("no database at all, but long enough to be taken for one\n" * 9)
    with pytest.raises(StoreError, match="can't be used: file is not a database"):
        opening(f"sqlite:///{tmp_path / 'text'}")
    with pytest.raises(UnknownNameError, match="random"):
        opening(f"sqlite:///{tmp_path / 's'}", "randm")
    with pytest.raises((UsageError, StoreError)) as refused:
        opening("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(refused.value)


def test_a_password_is_hidden_anywhere_in_a_url() -> None:
    url = "postgresql://me:secret@host/db?password=secret&sslmode=require"
    assert hide_password(url) == "postgresql://me:***@host/db?password=...&sslmode=..."
    assert hide_password("sqlite:///runs/studies.sqlite3") == "sqlite:///runs/studies.sqlite3"
    assert hide_password("secret") == "the given URL"
