from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import torch.nn.functional as F
from numba import njit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.fingerprint import UnknowableError, fingerprint, parameters_of
from fittingroom.runs.spec import NOT_FOUND_AGAIN
from fittingroom.training.recipe import Recipe


class Held(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose parameter may be anything."""

    def __init__(self, it: Any = None) -> None:
        self.it = it


class Net(nn.Module):
    scale: torch.Tensor

    def __init__(self, rate: float = 0.5, activation: Any = F.relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(784, 10)
        self.rate, self.activation = rate, activation
        self.register_buffer("scale", torch.ones(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.dropout(x.flatten(1), self.rate, self.training) * self.scale
        activated: torch.Tensor = self.activation(self.layer(x))
        return activated


def net(change: Callable[[Net], Any]) -> Net:
    module = Net()
    change(module)
    return module


def pair(*, tied: bool) -> nn.Module:
    """Two layers with equal weights, as one tensor or two."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    layers[1].weight = layers[0].weight if tied else copy.deepcopy(layers[0].weight)
    return layers


def typed(code: str, value: str) -> Any:
    """The value of a name in code without a file, as if typed into an interpreter."""
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(f"import functools, torch\nfrom torch import nn\n{code}\nit = {value}", module)
    return module["it"]


BIG = np.zeros(5000)
OTHER = np.where(np.arange(5000) == 2500, 1.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: Net(0.1), lambda: Net(0.9)),
        (lambda: Net(activation=F.relu), lambda: Net(activation=F.gelu)),
        (lambda: Net(activation=torch.relu), lambda: Net(activation=torch.tanh)),
        (lambda: Net(activation=nn.ELU(1.0)), lambda: Net(activation=nn.ELU(2.0))),
        (lambda: Net(activation=lambda x: x), lambda: Net(activation=lambda x: x + 1)),
        (
            lambda: Net(activation=functools.partial(F.leaky_relu, negative_slope=0.1)),
            lambda: Net(activation=functools.partial(F.leaky_relu, negative_slope=0.2)),
        ),
        (Net, lambda: net(lambda m: m.scale.fill_(2))),
        (Net, lambda: net(lambda m: m.double())),
        (Net, lambda: net(lambda m: m.layer.weight.requires_grad_(False))),
        (Net, lambda: net(lambda m: m.register_forward_hook(lambda *_: None))),
        (
            lambda: Held(torch.tensor([2**24])),  # equal as float32
            lambda: Held(torch.tensor([2**24 + 1])),
        ),
        (lambda: pair(tied=True), lambda: pair(tied=False)),
        (lambda: nn.LazyLinear(10), lambda: nn.LazyLinear(10, bias=False)),
        (
            lambda: NetworkClassifier(Net(), recipe=Recipe(epochs=1)),
            lambda: NetworkClassifier(Net(), recipe=Recipe(epochs=2)),
        ),
        (
            lambda: make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()),
            lambda: make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
        ),
        (
            lambda: VotingClassifier([("a", Held(1)), ("b", Held(2))]),
            lambda: VotingClassifier([("a", Held(1)), ("b", Held(3))]),
        ),
        (lambda: Held(BIG), lambda: Held(OTHER)),  # whose repr is the same
        (lambda: Held(BIG), lambda: Held(BIG.astype(np.float32))),
        (lambda: Held([1, {"a": 2}]), lambda: Held([1, {"a": 3}])),
        (lambda: Held({"a", "b"}), lambda: Held({"a", "c"})),
        (lambda: Held(1), lambda: Held(True)),
        (lambda: Held(np.random.RandomState(1)), lambda: Held(np.random.RandomState(2))),
        (lambda: Held(np.random.default_rng(1)), lambda: Held(np.random.default_rng(2))),
        (lambda: Held(scipy.sparse.eye(3)), lambda: Held(scipy.sparse.eye(4))),
        (lambda: Held(pd.DataFrame({"a": ["x"]})), lambda: Held(pd.DataFrame({"a": ["y"]}))),
        (lambda: Held(np.array([None, "a"])), lambda: Held(np.array([None, "b"]))),
        (lambda: Held([RandomForestClassifier(random_state=1)]), lambda: Held([fitted(2)])),
        (lambda: FrozenEstimator(fitted(1)), lambda: FrozenEstimator(fitted(2))),
        (lambda: Held(njit(half)), lambda: Held(njit(fastmath=True)(half))),
        (
            lambda: typed("def f(x, y=1): return x + y", "f"),
            lambda: typed("def f(x, y=2): return x + y", "f"),
        ),
        (
            lambda: typed("SCALE = 1\ndef f(x): return SCALE * x", "f"),
            lambda: typed("SCALE = 2\ndef f(x): return SCALE * x", "f"),
        ),
        (
            lambda: typed("def g(x): return x\ndef f(x): return [g(y) for y in x]", "f"),
            lambda: typed("def g(x): return -x\ndef f(x): return [g(y) for y in x]", "f"),
        ),
        (
            lambda: typed("def f(n):\n def g(x): return n * x\n return g", "f(1)"),
            lambda: typed("def f(n):\n def g(x): return n * x\n return g", "f(2)"),
        ),
        (
            lambda: typed("class A:\n k = 1\nclass B(A): pass", "B()"),
            lambda: typed("class A:\n k = 2\nclass B(A): pass", "B()"),
        ),
        (
            lambda: typed("class A:\n @property\n def k(self): return 1\nclass B(A): pass", "B()"),
            lambda: typed("class A:\n @property\n def k(self): return 2\nclass B(A): pass", "B()"),
        ),
        (
            lambda: typed("class A:\n @torch.no_grad()\n def f(self): return 1", "A()"),
            lambda: typed("class A:\n @torch.no_grad()\n def f(self): return 2", "A()"),
        ),
        (
            lambda: typed("@functools.cache\ndef g(): return 1\ndef f(): return g()", "f"),
            lambda: typed("@functools.cache\ndef g(): return 2\ndef f(): return g()", "f"),
        ),
        (
            lambda: typed("class A(nn.Module):\n def forward(self, x): return x", "A()"),
            lambda: typed("class A(nn.Module):\n def forward(self, x): return x.exp()", "A()"),
        ),
    ],
)
def test_whatever_decides_a_result_changes_the_fingerprint(
    first: Callable[[], Any], second: Callable[[], Any]
) -> None:
    assert fingerprint(first()) == fingerprint(first())
    assert fingerprint(second()) == fingerprint(second())
    assert fingerprint(first()) != fingerprint(second())


def half(x: float) -> float:
    return x / 2


def fitted(seed: int) -> RandomForestClassifier:
    X = np.random.RandomState(0).rand(50, 4)
    return RandomForestClassifier(3, random_state=seed).fit(X, np.arange(50) % 2)


def test_own_modules_count_by_what_code_names(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)
    named = "import mine\ndef f(x): return mine.scale * x"
    whole = "import mine\ndef f(x): return getattr(mine, 'sc' + 'ale') * x"
    found = []
    for scale, beside in ((1, 1), (1, 2), (2, 2)):
        vars(module).update(scale=scale, beside=beside)
        found.append([fingerprint(typed(code, "f")) for code in (named, whole)])
    assert found[0][0] == found[1][0] != found[2][0]
    assert len({prints[1] for prints in found}) == 3


def test_location_and_docstrings_of_code_change_nothing() -> None:
    plain = typed("def f(x): return x + 1", "f")
    moved = typed("\n\n# why\ndef f(x: int) -> int:\n\n    return (x +\n      1)", "f")
    assert fingerprint(plain) == fingerprint(moved)
    for _ in range(100):
        plain(1)  # until the interpreter has specialised it
    assert fingerprint(plain) == fingerprint(moved)


def test_a_clone_has_the_same_fingerprint() -> None:
    for own in (NetworkClassifier(net(lambda m: m.register_forward_hook(print))), Held([half])):
        assert fingerprint(clone(own)) == fingerprint(own)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Held(threading.Lock()), r"Held\.it holds a _thread\.lock"),
        (lambda: Held(iter(open(os.devnull))), r"Held\.it holds a _io"),  # noqa: SIM115
        (lambda: torch.jit.script(nn.Linear(2, 2)), "RecursiveScriptModule"),
        (
            lambda: typed("import threading\nL = threading.Lock()\ndef f():\n with L: pass", "f"),
            r"f\.L holds a _thread\.lock",
        ),
        (lambda: typed("def f():\n import mine_alone\n", "f"), "f imports mine_alone when it runs"),
        (lambda: typed("def f():\n from . import x\n", "f"), "f imports a module when it runs"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_unknowable_objects_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(UnknowableError, match=says):
        fingerprint(make())


def test_a_function_may_import_from_a_library() -> None:
    assert fingerprint(typed("def f():\n import sklearn.svm, json, optuna\n", "f"))


def test_parameters_show_what_they_can_and_no_seed() -> None:
    own = make_pipeline(FunctionTransformer(half), RandomForestClassifier(7, random_state=3))
    found = parameters_of(own)
    assert found["class"] == "Pipeline"
    assert found["randomforestclassifier"] == "RandomForestClassifier"
    assert found["randomforestclassifier__n_estimators"] == 7
    assert not [name for name in found if "random_state" in name]
    assert parameters_of(own) == found
    recipe = parameters_of(NetworkClassifier(Net(), recipe=Recipe(epochs=3)))["recipe"]
    assert recipe["epochs"] == 3


class Raising:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no equality")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ValueError("no copy")


@pytest.mark.parametrize("it", [threading.Lock(), Raising()])
def test_unknowable_objects_equal_nothing_and_say_why(it: Any) -> None:
    first, second = parameters_of(Held(it)), parameters_of(Held(it))
    assert first != second
    assert first[NOT_FOUND_AGAIN].startswith("Held.it holds a ")


PROCESS = """
import functools, sys
import torch.nn.functional as F
from torch import nn
from fittingroom.runs.fingerprint import fingerprint

class Net(nn.Module):
    kinds = {"relu", "gelu", "elu", "selu"}

    def __init__(self):
        super().__init__()
        self.first = nn.LazyConv2d(3, 3)
        self.activation = functools.partial(F.leaky_relu, negative_slope=0.1)
        self.register_forward_hook(lambda *_: None)

    def forward(self, x):
        return self.activation(self.first(x)) if "relu" in {"relu", "gelu"} else x

print(fingerprint(Net()))
"""


@pytest.mark.slow
def test_every_process_computes_the_same_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(PROCESS)
    found = []
    for number, (options, text) in enumerate(((["script.py"], None), (["-"], PROCESS))):
        done = subprocess.run(
            [sys.executable, *options],
            cwd=tmp_path,
            input=text,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.strip())
    assert len(found[0]) == 32
    assert found[0] == found[1]
