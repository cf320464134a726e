from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, get_args

import psutil
import pytest

from fittingroom.execution import fork_server
from fittingroom.execution.children import IMPORTED
from fittingroom.execution.executor import open_executor, prepare_fits
from fittingroom.execution.fork_server import ForkedChild, start_copy
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.models.rows import Family

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are copied on Linux only")

#: Imports next to nothing, so that it starts quickly.
LIGHT = ("fittingroom.errors",)


@pytest.fixture(autouse=True)
def only_new_servers() -> Iterator[None]:
    fork_server.kill_servers()
    yield
    fork_server.kill_servers()


@pytest.fixture
def stderr() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


def ignore() -> None:
    pass


def copy(stderr: IO[bytes], **variables: str) -> ForkedChild:
    """A child that waits for jobs."""
    child = start_copy(LIGHT, {**os.environ, **variables}, stderr, ignore)
    assert child is not None
    assert child.stdout.readline() == "\n"
    return child


def end(child: ForkedChild) -> int:
    """Close its input, as a `FitProcess` that has no more jobs; returns its exit code."""
    child.stdin.close()
    assert child.stdout.read().strip() == ""
    child.stdout.close()
    return child.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def server_of(child: ForkedChild) -> psutil.Process:
    server = psutil.Process(child.pid).parent().parent()  # type: ignore[union-attr]
    assert server is not None
    return server


def test_children_are_copies_of_one_process(stderr: IO[bytes]) -> None:
    first, second = copy(stderr), copy(stderr)
    pid = first.pid
    assert pid != second.pid
    assert server_of(first) == server_of(second)
    assert server_of(first).parent() == psutil.Process()
    assert psutil.Process(first.pid).name() == "fittingroom-fit"
    assert [end(first), end(second)] == [0, 0]
    assert not psutil.pid_exists(pid), "it was cleared away"


def test_what_fits_need_is_imported_before_the_copy(job: Callable[..., Job]) -> None:
    with FitProcess(Limits()) as process:
        assert process.fit(job(), lambda _: None).status == "ok"
        child = process._process
        assert isinstance(child, ForkedChild)
        used = psutil.Process(child.pid).cpu_times()
    assert used.user + used.system < 3, "seconds of a processor; importing takes four"


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_was_prepared_is_used(at_once: int, job: Callable[..., Job]) -> None:
    """One server: it has the variables of the child, whatever was imported in between."""
    prepare_fits(f"local:{at_once}", ["knn", "logistic"])
    (server,) = fork_server._servers.values()
    with open_executor(f"local:{at_once}", Limits()) as executor:
        executor.submit(job())
        assert executor.next_event()[1].status == "ok"  # type: ignore[union-attr]
        assert list(fork_server._servers.values()) == [server]


def test_a_child_has_the_present_folder_and_variables(
    stderr: IO[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copy(stderr)
    monkeypatch.chdir(tmp_path)
    moved, changed = copy(stderr), copy(stderr, OMP_NUM_THREADS="7")
    assert psutil.Process(moved.pid).cwd() == str(tmp_path)
    assert server_of(moved) == server_of(before)
    assert psutil.Process(changed.pid).environ()["OMP_NUM_THREADS"] == "7"
    assert server_of(changed) != server_of(before)
    assert [end(child) for child in (before, moved, changed)] == [0, 0, 0]


def test_a_signal_is_a_negative_exit_code(stderr: IO[bytes]) -> None:
    child = copy(stderr)
    os.kill(child.pid, signal.SIGTERM)
    assert end(child) == -signal.SIGTERM


def test_an_error_is_in_its_output_of_errors(stderr: IO[bytes]) -> None:
    child = copy(stderr)
    child.stdin.write("no job\n")
    child.stdin.flush()
    wait_for(lambda: os.fstat(stderr.fileno()).st_size > 0)
    stderr.seek(0)
    assert b"JSONDecodeError" in stderr.read()
    os.kill(child.pid, signal.SIGKILL)
    assert end(child) == -signal.SIGKILL


def test_an_interrupt_ends_neither_server_nor_child(stderr: IO[bytes]) -> None:
    """As the terminal sends it to the whole foreground group."""
    child = copy(stderr)
    server, watcher = server_of(child), psutil.Process(child.pid).parent()
    assert watcher is not None
    for process in (server, watcher, psutil.Process(child.pid)):
        process.send_signal(signal.SIGINT)
    again = copy(stderr)
    assert server_of(again) == server
    assert [end(child), end(again)] == [0, 0]


def test_a_killed_server_takes_its_children_along_and_the_next_child_gets_another(
    stderr: IO[bytes],
) -> None:
    child = copy(stderr)
    server, process = server_of(child), psutil.Process(child.pid)
    server.kill()
    wait_for(lambda: not alive([process]))  # before its input ends, after which it would end too
    assert end(child) == -signal.SIGKILL
    again = copy(stderr)
    assert server_of(again) != server
    assert end(again) == 0


def test_a_server_without_children_ends(stderr: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while one runs; and whoever wants a child afterwards gets one of a new server."""
    monkeypatch.setattr(fork_server, "IDLE_SECONDS", 0.3)
    child = copy(stderr)
    server = server_of(child)
    time.sleep(1)
    assert server.is_running()
    assert end(child) == 0
    wait_for(lambda: not alive([server]))
    again = copy(stderr)
    assert server_of(again) != server
    assert end(again) == 0


def test_what_it_waits_for_can_be_given_up(stderr: IO[bytes]) -> None:
    class GivenUpError(Exception):
        pass

    def give_up() -> None:
        raise GivenUpError

    heavy = ("sklearn.base",)
    # The one that was given up ends as soon as it starts.
    with pytest.raises(GivenUpError):
        start_copy(heavy, dict(os.environ), stderr, give_up)
    child = start_copy(heavy, dict(os.environ), stderr, ignore)
    assert child is not None
    server = server_of(child)
    wait_for(lambda: len(alive(server.children(recursive=True))) == 2)  # the child, its watcher
    assert end(child) == 0


def test_without_a_server_a_child_is_started_by_itself(
    job: Callable[..., Job], stderr: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start_copy(("no_such_module",), dict(os.environ), stderr, ignore) is None
    monkeypatch.setitem(IMPORTED, "classical", ("no_such_module",))
    with FitProcess(Limits()) as process:
        assert process.fit(job(), lambda _: None).status == "ok"
        assert isinstance(process._process, subprocess.Popen)


def test_elsewhere_nothing_is_copied(stderr: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert start_copy(LIGHT, dict(os.environ), stderr, ignore) is None
    assert fork_server._servers == {}


def test_a_child_that_can_not_be_had_leaves_the_others_alone(
    stderr: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here no pipes are left; it isn't the server's fault."""
    child = copy(stderr)

    def no_more(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", no_more)
        assert start_copy(LIGHT, dict(os.environ), stderr, ignore) is None
    again = copy(stderr)
    assert server_of(again) == server_of(child)
    assert [end(child), end(again)] == [0, 0]


def test_a_deleted_folder_is_no_hindrance(
    stderr: IO[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, folder = copy(stderr), tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    again = copy(stderr)
    assert psutil.Process(again.pid).cwd() == "/"
    assert [end(child), end(again)] == [0, 0]


def test_a_module_that_is_missing_later_ends_nobody(stderr: IO[bytes]) -> None:
    modules = (*LIGHT, "no_such_module")
    children = [start_copy(modules, dict(os.environ), stderr, ignore) for _ in range(3)]
    assert [end(child) for child in children if child is not None] == [0, 0, 0]


SCRIPT = """
import os, signal, sys, tempfile, time
from fittingroom.execution.fork_server import start_copy
{before}
child = start_copy({modules}, dict(os.environ), tempfile.TemporaryFile(), lambda: None)
{after}
"""


def test_the_end_of_a_child_is_known_where_signals_of_children_are_ignored() -> None:
    """As a parent may have left it."""
    script = SCRIPT.format(
        modules=LIGHT,
        before="signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        after="child.stdin.close(); sys.exit(10 + child.wait())",
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 10


def test_a_process_that_the_caller_forked_keeps_no_child_alive() -> None:
    """It holds copies of the pipes and the socket, whose end is therefore not seen."""
    script = SCRIPT.format(
        modules=LIGHT,
        before="",
        after="pid = os.fork(); pid and print(child.pid, pid, flush=True); time.sleep(60)",
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid, sibling = map(int, caller.stdout.readline().split())
        child = psutil.Process(pid)
        caller.kill()
        wait_for(lambda: not alive([child]))
        os.kill(sibling, signal.SIGKILL)


RECORDER = """
import json, os
import torch
asked = []
for where, name in ((torch.cuda, "is_available"), (torch.cuda, "device_count"),
                    (torch.cuda, "init"), (torch.cuda, "_lazy_init"),
                    (torch.accelerator, "is_available")):
    setattr(where, name, lambda *_, name=name: asked.append(name) or 0)
for module in {modules}:
    __import__(module)
threads = os.listdir("/proc/self/task")
names = [open(f"/proc/self/task/{{thread}}/comm").read().strip() for thread in threads]
print(json.dumps([asked, names]))
"""


@pytest.mark.parametrize("family", get_args(Family))
def test_imports_ask_for_no_gpu_and_start_no_threads(family: Family) -> None:
    """A copy could use neither: CUDA can't be used after a fork, other threads aren't copied.

    But for OpenBLAS's, which has none with one thread; and the one that tidies up Arrow's memory.
    """
    script = textwrap.dedent(RECORDER).format(modules=",".join(IMPORTED[family]).split(","))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    asked, threads = json.loads(done.stdout)
    assert asked == []
    assert [name for name in threads if name != "jemalloc_bg_thd"] == ["python"]
