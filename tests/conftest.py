from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filelock import FileLock

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.execution import fork_server
from fittingroom.execution.child import collect_rarely

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.bench.tuning.tuning import Tuning
    from fittingroom.runs.store import Store

collect_rarely()  # as the commands and their children do
fork_server.IDLE_SECONDS = 120.0  # the next test that fits may be minutes away


@pytest.fixture(scope="session")
def small_folder() -> Path:
    """Where the data set `small` lies."""
    return Path(__file__).parent / "data" / "fashion-mnist-small"


@pytest.fixture(scope="session")
def small(small_folder: Path) -> Dataset:
    """3,000 real images of Fashion-MNIST: 200 a class to train on, 100 a class to test."""
    return dataclasses.replace(load_dataset(small_folder), preparation="garment")


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    """An empty store for runs on `small`."""
    from fittingroom.runs.store import open_store

    return open_store(tmp_path, small)


@pytest.fixture(scope="session")
def some_of(small: Dataset) -> Callable[..., Dataset]:
    """`some_of({0: 40, 1: 40}, {0: 1})`: so many training and test images of the classes."""

    def made(train: dict[int, int], test: dict[int, int], **fields: object) -> Dataset:
        parts = []
        for split, counts in ((small.train, train), (small.test, test)):
            positions = [np.flatnonzero(split.labels == c)[:n] for c, n in counts.items()]
            index = np.random.default_rng(0).permutation(np.concatenate(positions))
            parts += [split.images[index], split.labels[index]]
        names = small.class_names[: 1 + max(*train, *test)]
        return Dataset.from_arrays(*parts, **{"class_names": names, "name": "some", **fields})  # type: ignore[arg-type]

    return made


@pytest.fixture(scope="session")
def compared_runs(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved runs of a real comparison: a forest, three networks, labels added from elsewhere.

    Beside them a cross-validation. Not to be changed. Processes that share the tests share it: who
    comes first makes it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "compared"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            making = tmp_path_factory.mktemp("compared")
            _compare(small, making)
            making.rename(folder)
    return folder


def _compare(small: Dataset, folder: Path) -> None:
    from fittingroom.bench.comparison.compare import compare
    from fittingroom.runs.external import add_predictions
    from fittingroom.runs.fit import fit
    from fittingroom.runs.spec import spec_of
    from fittingroom.runs.store import open_store

    models = ["random-forest", "mlp-256-256", "swift-90", "cnn-32"]
    store = open_store(folder, small)
    for model in models:  # in this process, since each child would import all libraries anew
        for seed in range(2):
            fit(spec_of(small, model, seed=seed), small, store, keep_model=False)
    compare(small, models, n_seeds=2, runs=folder, keep_models="none")
    np.savez(folder / "theirs.npz", labels=np.zeros(len(small.test), int))
    add_predictions(store, small, "theirs", folder / "theirs.npz")
    fit(spec_of(small, "logistic", folds=3), small, store)


@pytest.fixture(scope="session")
def compared(compared_runs: Path, small: Dataset) -> Analysis:
    """The analysis of that comparison."""
    from fittingroom.bench.comparison.analysis import analyse
    from fittingroom.runs.store import find_store

    return analyse(find_store(compared_runs), small)


@pytest.fixture(scope="session")
def tuning() -> Tuning:
    """A search of twelve trials: ten with a figure, one broken off, one that diverged."""
    from fittingroom.bench.tuning.space import parse_space
    from fittingroom.bench.tuning.tuning import TestResult, Trial, Tuning
    from fittingroom.evaluation.intervals import Interval
    from fittingroom.evaluation.overstatement import Overstatement

    rates = np.round(np.geomspace(2e-4, 5e-2, 12), 5)
    rates[4] = 0.003
    found = [0.88, 0.9, 0.895, 0.91, 0.92, 0.905, 0.9, 0.91, 0.89, 0.85]
    trials = [
        Trial(
            number=number,
            status="ok" if number < 10 else "pruned" if number == 10 else "nan",
            settings={
                "epochs": 5,
                "learning_rate": float(rate),
                "schedule": ("constant", "cosine")[number % 2],
            },
            accuracy=found[number] if number < 10 else None,
            fit_seconds=3.5,
            kept_epoch=5 if number < 10 else None,
            reason=None if number < 10 else "the loss became nan <script>alert(1)</script>",
            run=f"cnn-32/0123456789ab-s{number}" if number < 10 else None,
        )
        for number, rate in enumerate(rates)
    ]
    return Tuning(
        study="cnn-32-01234567",
        storage="sqlite:///studies.sqlite3",
        model="cnn-32",
        dataset="fashion-mnist",
        dataset_title="Fashion-MNIST",
        dataset_sha256="0" * 64,
        space=parse_space(
            {"learning_rate": "1e-4..1e-1:log", "schedule": "constant|cosine", "epochs": 5}
        ),
        sampler="tpe",
        seed=0,
        folds=0,
        n_trials=12,
        trials=tuple(trials),
        overstatement=Overstatement(
            winner=4,
            observed=0.92,
            expected=0.912,
            interval=Interval(0.901, 0.924),
            models=10,
            images=3000,
        ),
        importance={"learning_rate": 0.8, "schedule": 0.2},
        test=TestResult(
            accuracy=0.909, this_fit_ci95=(0.903, 0.9145), run="cnn-32/fedcba987654-s0"
        ),
    )


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a person would, in an empty folder."""

    def run(
        *arguments: str,
        cwd: Path = tmp_path,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fittingroom.cli.main", *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            **options,
        )

    return run


def _enter_terminal(slave: int) -> None:
    """What a shell in a terminal does before it starts a command.

    What a script runs in its background ignores interrupts, what `nohup` starts hangups too, and so
    would all that these tests start there.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.login_tty(slave)


class Terminal:
    """The command line in a terminal of its own: what a person sees, types, resizes and closes."""

    def __init__(self, folder: Path, *arguments: str, columns: int = 80, **env: str) -> None:
        self._master, slave = os.openpty()
        self.resize(columns)
        outside = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fittingroom.cli.main", *arguments],
            cwd=folder,
            env={**outside, "TERM": "xterm-256color", **env},
            preexec_fn=lambda: _enter_terminal(slave),
        )
        os.close(slave)
        self.text = ""

    def resize(self, columns: int) -> None:
        import fcntl  # not on Windows
        import termios

        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Read until `text` is on the screen, or was."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, self.text[-2000:]
            assert self._read(), self.text[-2000:]

    def wait(self, seconds: float = 120) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, self.text[-2000:]
        return self.process.wait(seconds)

    def close(self) -> None:
        """As when its window is closed."""
        with contextlib.suppress(OSError):  # closed already
            os.close(self._master)
        self._master = -1

    def _read(self) -> bool:
        """Read what has come; whether there may be more."""
        if not select.select([self._master], [], [], 1)[0]:
            return True
        try:
            read = os.read(self._master, 1 << 16)
        except OSError:  # Linux's end of file: nobody has the other side open any more
            return False
        self.text += read.decode("utf8", "replace")
        return bool(read)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Run the command line in a terminal, in an empty folder; closed when the test ends."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals")
    opened: list[Terminal] = []

    def run(*arguments: str, folder: Path = tmp_path, **options: object) -> Terminal:
        opened.append(Terminal(folder, *arguments, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield run
    for each in opened:
        each.close()
        each.process.kill()
        each.process.wait()


class Browser:
    """Headless Chromium, for pages of ours."""

    PHONE, DESKTOP = (390, 844), (1280, 900)

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self, page: Path | str, size: tuple[int, int] = DESKTOP, scheme: str = "light"
    ) -> None:
        """Open a file or an address in a window of `size`, and wait until it is loaded."""
        from selenium.webdriver.support.wait import WebDriverWait

        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": size[0],
                "height": size[1],
                "deviceScaleFactor": 1,
                "mobile": size == self.PHONE,
            },
        )
        self.driver.get("about:blank")  # else another fragment of the same page isn't loaded anew
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page if isinstance(page, str) else page.as_uri())
        # On a busy machine `get` may return before the page is loaded.
        WebDriverWait(self.driver, 60).until(
            lambda driver: driver.execute_script("return document.readyState") == "complete"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        """The first element of a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def choose(self, selector: str, value: str) -> None:
        """Choose a value of a form's field, as a reader does."""
        self.run(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            selector,
            value,
        )

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements of a CSS selector."""
        script = (
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())"
        )
        texts: list[str] = self.run(script, selector)
        return texts

    def errors(self) -> list[Any]:
        """What the page has logged since it was opened, or since this was asked."""
        log: list[Any] = self.driver.get_log("browser")
        return log

    def violations(self) -> list[str]:
        """Findings of axe-core on what is shown, a line for each."""
        import axe_core_python

        script = Path(axe_core_python.__file__).with_name("axe.min.js").read_text("utf-8")
        self.run(script)
        found = self.driver.execute_async_script(
            "const [done] = arguments;"
            "axe.run({resultTypes: ['violations']}).then((result) => done(result.violations.map("
            "(v) => `${v.id}: ${v.nodes.length} × ${v.nodes[0].html.slice(0, 150)}`)))"
        )
        return list(found)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser, if Chromium is installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium isn't installed")
    names = ("chromium", "chromium-browser", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("chromium or chromedriver isn't installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    driver.set_script_timeout(120)
    yield Browser(driver)
    driver.quit()
