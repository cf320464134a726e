"""Children that start at once: copies of a process that has imported what fits need.

Importing takes a child one to four seconds, a copy takes milliseconds. So one process, the fork
server, imports scikit-learn, PyTorch if need be, and our own modules, and copies itself (os.fork)
whenever a child is wanted. It fits nothing: its only threads are OpenBLAS's, which OpenBLAS starts
again after a fork, and it asks for no GPU. It ends with the process that started it, or once nobody
has wanted a child for a while.

Python's own fork server (multiprocessing) imports the caller's main module too, which runs scripts
without a guard a second time. Only Linux can be asked to kill a copy together with its parent, so
only there are children copied; elsewhere each is started by itself.

    caller ── socket ──> server:  import; for each request: fork
       │                   └── watcher: fork; report the child's pid and how it ended
       └── pipes, socket ──────── child: reads jobs, writes events
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NoReturn

from fittingroom.execution.child import collect_rarely, die_with, run_jobs

#: A server ends when it has had no children and no requests for so long.
IDLE_SECONDS = 30.0
#: How often a server looks whether its caller still lives, and whether it is idle.
_LOOK_SECONDS = 1.0
#: How often a caller that waits for a server looks whether it still wants a child.
_POLL_SECONDS = 0.2
#: A server that imports for longer is hung.
_LONGEST_IMPORT = 60.0
#: Bytes of a path, at most.
_PATH_BYTES = 1 << 16
#: Scikit-learn sets the first two when it is imported, in the server as in its caller; pytest sets
#: the last for each test. No import reads them.
_IGNORED = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "PYTEST_CURRENT_TEST"}

_Key = tuple[int, tuple[str, ...], tuple[tuple[str, str], ...]]


class ForkedChild:
    """A child that a fork server starts, with the attributes of Popen that its user needs.

    Attributes
    ----------
    pid : 0 until `has_started`, and after `wait`
    stdin, stdout : pipes to it, as text
    """

    def __init__(self, server: ForkServer, stderr: IO[bytes]) -> None:
        """Ask for it; raises OSError when the server has ended, or descriptors are used up."""
        self.pid = 0
        self._code: int | None = None
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            stdin, to_child = os.pipe()
            theirs.callback(os.close, stdin)
            self.stdin = ours.enter_context(os.fdopen(to_child, "w", encoding="utf8"))
            from_child, stdout = os.pipe()
            theirs.callback(os.close, stdout)
            self.stdout = ours.enter_context(
                os.fdopen(from_child, encoding="utf8", errors="replace")
            )
            self._watcher, watcher = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(self._watcher.close)
            theirs.callback(watcher.close)
            server.request([stdin, stdout, stderr.fileno(), watcher.fileno()])
            ours.pop_all()

    def has_started(self, seconds: float) -> bool:
        """Wait at most so long for its pid; raises ConnectionResetError when none will come."""
        self._watcher.settimeout(seconds)
        try:
            self.pid = self._receive()
        except TimeoutError:
            return False
        self._watcher.settimeout(None)
        return True

    def wait(self) -> int:
        """Its exit code, once it has ended; that of a signal is negative."""
        if self._code is None:
            try:
                self._code = self._receive()
            except OSError:  # the server was killed, and with it the watcher and the child
                self._code = -signal.SIGKILL
            with contextlib.suppress(OSError):
                self._watcher.send(b".")
                self._watcher.recv(1)  # the end of the watcher: nobody has the pid any more
            self._watcher.close()
            self.pid = 0
        return self._code

    def abandon(self) -> None:
        """Close the pipes to it, so that it ends as soon as it starts."""
        for end in (self.stdin, self.stdout, self._watcher):
            end.close()

    def _receive(self) -> int:
        received = self._watcher.recv(16)
        if not received:
            raise ConnectionResetError("the child's watcher has ended")
        return int(received)


class ForkServer:
    """A process that starts children by copying itself.

    Parameters
    ----------
    modules
        What it imports: the first at once, the others when a second child is wanted. The first may
        be several, with commas between them.
    environment
        Its variables, and those of its children.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = [str(os.getpid()), str(IDLE_SECONDS)]
        with contextlib.ExitStack() as failed, theirs:
            failed.callback(self._requests.close)
            # What goes wrong here is reported by the child that is then started by itself.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, *settings, *modules],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
            )
            failed.pop_all()

    def request(self, descriptors: Sequence[int]) -> None:
        """Ask for a child with these: its input, output, errors, and its watcher's socket."""
        socket.send_fds(self._requests, [_working_folder()], descriptors)

    def has_ended(self, seconds: float = 0) -> bool:
        """Whether it has ended, or does within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def kill(self) -> None:
        """End it, and with it its children."""
        self._process.kill()
        self._process.wait()
        self._requests.close()


_servers: dict[_Key, ForkServer] = {}
_lock = threading.Lock()


def start_server(modules: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start a server for `start_copy` with these arguments, unless one runs."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # `start_copy` tries again
            _server(modules, environment)


def start_copy(
    modules: Sequence[str],
    environment: Mapping[str, str],
    stderr: IO[bytes],
    on_wait: Callable[[], None],
) -> ForkedChild | None:
    """A child that has these modules imported, or None where none can be had.

    The first child of a server has only the first of them. While a new server imports, `on_wait` is
    called five times a second; if it raises, no child is started.
    """
    if sys.platform != "linux":
        return None
    for _ in range(2):  # a server may just be ending, for want of work
        server = None
        try:
            server = _server(modules, environment)
            return _started(ForkedChild(server, stderr), on_wait)
        except OSError:  # also when processes or descriptors are used up: others may run on it
            if server is None or not server.has_ended(_LOOK_SECONDS):
                break
    return None


def _started(child: ForkedChild, on_wait: Callable[[], None]) -> ForkedChild:
    """The child, once it has started; raises OSError if it doesn't, and whatever `on_wait` does."""
    deadline = time.monotonic() + _LONGEST_IMPORT
    with contextlib.ExitStack() as otherwise:
        otherwise.callback(child.abandon)
        while not child.has_started(_POLL_SECONDS):
            on_wait()
            if time.monotonic() > deadline:
                raise TimeoutError("the fork server hangs")
        otherwise.pop_all()
    return child


def _server(modules: Sequence[str], environment: Mapping[str, str]) -> ForkServer:
    """The server for these modules and variables, started where none runs."""
    variables = tuple(sorted(pair for pair in environment.items() if pair[0] not in _IGNORED))
    key = (os.getpid(), tuple(modules), variables)
    with _lock:
        for other in [each for each in _servers if each[0] == key[0]]:
            if _servers[other].has_ended():
                _servers.pop(other).kill()
        if key not in _servers:
            _servers[key] = ForkServer(modules, environment)
        return _servers[key]


def kill_servers() -> None:
    """End those that this process has started, and their children."""
    with _lock:
        for key in [key for key in _servers if key[0] == os.getpid()]:
            _servers.pop(key).kill()


def _renew_lock() -> None:
    """In a process that the caller has forked: another thread may have held the lock."""
    global _lock
    _lock = threading.Lock()


atexit.register(kill_servers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def main() -> None:
    """The server: import what its arguments name, start a child for each request."""
    collect_rarely()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a caller's SIG_IGN would hide how a child ended
    caller, idle_seconds, first, *others = sys.argv[1:]
    gc.disable()  # nothing that is imported is garbage
    for module in first.split(","):
        importlib.import_module(module)
    gc.freeze()  # nor does a child look through it
    with socket.socket(fileno=0) as requests:
        requests.settimeout(_LOOK_SECONDS)
        _serve(requests, int(caller), float(idle_seconds), others)


def _serve(
    requests: socket.socket, caller: int, idle_seconds: float, others: Sequence[str]
) -> None:
    """Start children until the caller has ended, or has wanted none for a while.

    The end of the requests isn't enough to tell: a process that the caller forks holds them open.
    """
    server, served, busy = os.getpid(), 0, time.monotonic()
    while os.getppid() == caller and time.monotonic() - busy < idle_seconds:
        try:
            folder, descriptors, *_ = socket.recv_fds(requests, _PATH_BYTES, 4)
        except TimeoutError:
            if _reap():
                busy = time.monotonic()
            continue
        if not descriptors:  # the caller has ended
            return
        if served == 1:  # there may be many more
            for module in others:
                with contextlib.suppress(Exception):  # a fit that needs it will say what is wrong
                    importlib.import_module(module)
        with contextlib.suppress(OSError):  # no more processes: the caller sees no pid
            if _fork() == 0:
                _watch(server, folder, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        served, busy = served + 1, time.monotonic()


def _reap() -> bool:
    """Clear away the watchers that have ended; returns whether others are left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
        return True
    return False


def _fork() -> int:
    with warnings.catch_warnings():
        # From 3.12 Python warns because of OpenBLAS's threads, which OpenBLAS itself sees to.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _watch(
    server: int, folder: bytes, stdin: int, stdout: int, stderr: int, caller: int
) -> NoReturn:
    """Start the child, report its pid and how it ended."""
    child = 0
    try:
        os.close(0)  # the server's socket
        die_with(server)
        watcher = os.getpid()
        child = _fork()
        if child == 0:
            os.close(caller)
            _run(folder, watcher, (stdin, stdout, stderr))
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        with socket.socket(fileno=caller) as connection:
            connection.send(str(child).encode())
            # It stays a zombie until the caller knows, so that its pid is nobody else's.
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            assert ended is not None
            code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            connection.send(str(code).encode())
            connection.recv(1)
            os.waitpid(child, 0)
            child = 0
    finally:  # an error is the caller's end, or that it has given the child up
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os._exit(0)


def _run(folder: bytes, parent: int, streams: tuple[int, int, int]) -> NoReturn:
    """Be the child."""
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        with contextlib.suppress(OSError):  # jobs name their folders in full
            os.chdir(folder)
        gc.enable()
        run_jobs(parent)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _working_folder() -> bytes:
    try:
        return os.fsencode(os.getcwd())
    except OSError:  # it was deleted
        return b"/"


if __name__ == "__main__":
    main()
