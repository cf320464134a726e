"""Children that start at once: copies of a process that has imported what fits need.

Importing takes a child four seconds, a copy takes milliseconds. So one process, the fork server,
imports PyTorch, scikit-learn and our own modules, and copies itself (os.fork) whenever a child is
wanted. It fits nothing: no thread pool runs in it that a copy would lack, no GPU was asked for. It
ends with the process that started it, or once nobody has wanted a child for a while.

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
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from fittingroom.execution.child import collect_rarely, die_with, run_jobs

#: Without children, a server ends this long after the last request.
IDLE_SECONDS = 30.0
_POLL_SECONDS = 0.2
#: Of a working folder's path.
_LONGEST_PATH = 1 << 16
#: Set by scikit-learn when it is imported, in the server as in its caller; and for each test, where
#: nothing that is imported reads it.
_IGNORED = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "PYTEST_CURRENT_TEST"}

_Key = tuple[int, tuple[str, ...], tuple[tuple[str, str], ...]]


class ForkedChild:
    """A child that a fork server starts, with the attributes of Popen that its user needs.

    Attributes
    ----------
    pid : 0 until `has_started`
    stdin, stdout : pipes to it, as text
    """

    def __init__(self, server: ForkServer, stderr: IO[bytes]) -> None:
        """Ask for it; raises OSError when the server is gone."""
        self.pid = 0
        stdin, to_child = os.pipe()
        from_child, stdout = os.pipe()
        self._watcher, watcher = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._code: int | None = None
        self.stdin = os.fdopen(to_child, "w", encoding="utf8", errors="replace")
        self.stdout = os.fdopen(from_child, encoding="utf8", errors="replace")
        try:
            server.request([stdin, stdout, stderr.fileno(), watcher.fileno()])
        except OSError:
            self.abandon()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
            watcher.close()

    def has_started(self, seconds: float) -> bool:
        """Wait at most so long for its pid.

        Raises ConnectionResetError when the server has ended before.
        """
        if not select.select([self._watcher], [], [], seconds)[0]:
            return False
        self.pid = self._receive()
        return True

    def wait(self) -> int:
        """Its exit code, once it has ended; that of a signal is negative."""
        if self._code is None:
            try:
                self._code = self._receive()
                self._watcher.send(b".")
                self._watcher.recv(1)  # its pid belongs to no process any more
            except OSError:  # the server was killed, and with it the watcher and the child
                self._code = -signal.SIGKILL
            self._watcher.close()
        return self._code

    def abandon(self) -> None:
        """Let it end as soon as it starts."""
        for end in (self.stdin, self.stdout, self._watcher):
            end.close()

    def _receive(self) -> int:
        received = self._watcher.recv(16)
        if not received:
            raise ConnectionResetError("the fork server has ended")
        return int(received)


class ForkServer:
    """A process that starts children by copying itself.

    Parameters
    ----------
    modules
        What it imports: the first at once, the others when a second child is wanted.
    environment
        Its variables, and those of its children.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", __name__, str(IDLE_SECONDS), *modules]
        with theirs:
            # What goes wrong here is reported by the child that is then started by itself.
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def request(self, descriptors: Sequence[int]) -> None:
        """Ask for a child with these: its input, output, errors, and its watcher's socket."""
        socket.send_fds(self._requests, [os.fsencode(os.getcwd())], descriptors)

    def end(self) -> None:
        """Kill it, and with it its children."""
        self._process.kill()
        self._process.wait()
        self._requests.close()


_servers: dict[_Key, ForkServer] = {}
_lock = threading.Lock()


def start_server(modules: Sequence[str], environment: Mapping[str, str]) -> None:
    """Let one begin to import these modules for `start_copy`, unless there is one."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # whoever wants a child will hear of it
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
    for _ in range(2):  # a server may just have ended, for want of work
        server = _server(modules, environment)
        try:
            child = ForkedChild(server, stderr)
        except OSError:
            _forget(server)
            continue
        try:
            while not child.has_started(_POLL_SECONDS):
                on_wait()
        except ConnectionResetError:
            child.abandon()
            _forget(server)
        except BaseException:
            child.abandon()
            raise
        else:
            return child
    return None


def _server(modules: Sequence[str], environment: Mapping[str, str]) -> ForkServer:
    """The server for these modules and variables, started where there is none yet."""
    variables = tuple(sorted(pair for pair in environment.items() if pair[0] not in _IGNORED))
    key = (os.getpid(), tuple(modules), variables)
    with _lock:
        for other in [each for each in _servers if not _servers[each].is_running]:
            _servers.pop(other).end()
        if key not in _servers:
            _servers[key] = ForkServer(modules, environment)
        return _servers[key]


def _forget(server: ForkServer) -> None:
    with _lock:
        for key in [key for key, each in _servers.items() if each is server]:
            _servers.pop(key).end()


def end_servers() -> None:
    """End those that this process has started."""
    with _lock:
        for key in [key for key in _servers if key[0] == os.getpid()]:
            _servers.pop(key).end()


atexit.register(end_servers)


def main() -> None:
    """The server: import what its arguments name, start a child for each request."""
    collect_rarely()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    idle_seconds, first, *others = sys.argv[1:]
    importlib.import_module(first)
    with socket.socket(fileno=0) as requests:
        requests.settimeout(float(idle_seconds))
        _serve(requests, others)


def _serve(requests: socket.socket, others: Sequence[str]) -> None:
    served = 0
    while True:
        try:
            folder, descriptors, *_ = socket.recv_fds(requests, _LONGEST_PATH, 4)
        except TimeoutError:
            if not _has_children():
                return
            continue
        if not descriptors:  # nobody can ask for more
            return
        if served == 1:  # there may be many more
            for module in others:
                importlib.import_module(module)
        served += 1
        if _fork() == 0:
            _watch(folder, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _has_children()


def _has_children() -> bool:
    """Whether any is left, after those that have ended were cleared away."""
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


def _watch(folder: bytes, stdin: int, stdout: int, stderr: int, caller: int) -> None:
    """Start the child, report its pid and how it ended; never returns."""
    os.close(0)  # the server's socket
    with contextlib.suppress(OSError):  # the caller is gone, or has given the child up
        watcher = os.getpid()
        die_with(os.getppid())
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
    os._exit(0)


def _run(folder: bytes, parent: int, streams: tuple[int, int, int]) -> None:
    """Be the child; never returns."""
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        with contextlib.suppress(OSError):  # jobs name their folders in full
            os.chdir(folder)
        run_jobs(parent)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
