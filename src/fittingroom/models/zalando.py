"""Builders of the makers' benchmark: each grid's parameters as written, for today's scikit-learn.

Repaired for scikit-learn 1.9; `zalando_grid.py` says in words what is written another way.
Whatever a grid doesn't name has today's default, but for `n_jobs`, which changes time alone. Each
imports scikit-learn when it is called, so that to read the catalogue takes none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fittingroom.models.engine import Engine
    from fittingroom.models.standardized import StandardizedClassifier

_LOSSES = {"log": "log_loss", "deviance": "log_loss"}


def gaussian_nb(*, priors: Sequence[float] = (0.1,) * 10) -> StandardizedClassifier:
    from sklearn.naive_bayes import GaussianNB

    return _point(GaussianNB(priors=list(priors)))


def extra_tree(
    *,
    criterion: str = "gini",
    splitter: str = "random",
    max_depth: int | None = None,
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.tree import ExtraTreeClassifier

    tree = ExtraTreeClassifier(criterion=criterion, splitter=splitter, max_depth=max_depth)
    return _point(tree, random_state)


def decision_tree(
    *,
    criterion: str = "gini",
    splitter: str = "best",
    max_depth: int | None = None,
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(criterion=criterion, splitter=splitter, max_depth=max_depth)
    return _point(tree, random_state)


def passive_aggressive(*, C: float = 1.0, random_state: int | None = 0) -> StandardizedClassifier:
    """Crammer et al. 2006 (JMLR 7:551-585), PA-I: the steps of the class of that name."""
    from sklearn.linear_model import SGDClassifier

    return _point(
        SGDClassifier(loss="hinge", penalty=None, learning_rate="pa1", eta0=C, n_jobs=-1),
        random_state,
    )


def perceptron(
    *, penalty: str | None = None, random_state: int | None = 0
) -> StandardizedClassifier:
    from sklearn.linear_model import Perceptron

    return _point(Perceptron(penalty=penalty, n_jobs=-1), random_state)


def sgd(
    *, loss: str = "hinge", penalty: str = "l2", random_state: int | None = 0
) -> StandardizedClassifier:
    from sklearn.linear_model import SGDClassifier

    return _point(
        SGDClassifier(loss=_LOSSES.get(loss, loss), penalty=penalty, n_jobs=-1), random_state
    )


def random_forest(
    *,
    criterion: str = "gini",
    max_depth: int | None = None,
    n_estimators: int = 100,
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators, criterion=criterion, max_depth=max_depth, n_jobs=-1
    )
    return _point(forest, random_state)


def knn(*, n_neighbors: int = 5, weights: str = "uniform", p: int = 2) -> StandardizedClassifier:
    from sklearn.neighbors import KNeighborsClassifier

    return _point(KNeighborsClassifier(n_neighbors, weights=weights, p=p, n_jobs=-1))


def mlp(
    *,
    activation: str = "relu",
    hidden_layer_sizes: Sequence[int] = (100,),
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.neural_network import MLPClassifier

    return _point(MLPClassifier(tuple(hidden_layer_sizes), activation), random_state)


def logistic(
    *,
    penalty: str = "l2",
    C: float = 1.0,
    multi_class: str = "ovr",
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    if penalty not in ("l1", "l2") or multi_class not in ("ovr", "multinomial"):
        raise UsageError(
            f"penalty is {penalty!r} and multi_class {multi_class!r}; take l1 or l2, and ovr or "
            "multinomial."
        )
    share = 1.0 if penalty == "l1" else 0.0
    if multi_class == "ovr":
        binary = LogisticRegression(l1_ratio=share, C=C, solver="liblinear")
        return _point(OneVsRestClassifier(binary), random_state)
    solver = "saga" if share else "lbfgs"  # lbfgs can't do l1
    return _point(LogisticRegression(l1_ratio=share, C=C, solver=solver), random_state)


def linear_svc(
    *,
    loss: str = "squared_hinge",
    penalty: str = "l2",
    C: float = 1.0,
    multi_class: str = "ovr",
    random_state: int | None = 0,
) -> StandardizedClassifier:
    """With Crammer and Singer's method loss and penalty are left out: liblinear ignores them."""
    from sklearn.svm import LinearSVC

    if multi_class == "crammer_singer":
        return _point(LinearSVC(C=C, multi_class=multi_class), random_state)
    machine = LinearSVC(loss=loss, penalty=penalty, C=C, multi_class=multi_class)
    return _point(machine, random_state)


def svc(*, C: float = 1.0, kernel: str = "rbf") -> StandardizedClassifier:
    """Of three kernels the solution is one and the same, whoever finds it.

    The sigmoid is no kernel (not positive semidefinite): where a solver ends hangs on its way, so
    that one stays with scikit-learn's.
    """
    from sklearn.svm import SVC

    engine: Engine = "scikit-learn" if kernel == "sigmoid" else "auto"
    return _point(SVC(C=C, kernel=kernel), engine=engine)


def gradient_boosting(
    *,
    loss: str = "log_loss",
    n_estimators: int = 100,
    max_depth: int = 3,
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.ensemble import GradientBoostingClassifier

    boosting = GradientBoostingClassifier(
        loss=_LOSSES.get(loss, loss), n_estimators=n_estimators, max_depth=max_depth
    )
    return _point(boosting, random_state)


def gaussian_process(*, multi_class: str = "one_vs_rest") -> StandardizedClassifier:
    from sklearn.gaussian_process import GaussianProcessClassifier

    return _point(GaussianProcessClassifier(multi_class=multi_class))


def _point(
    estimator: BaseEstimator,
    random_state: int | None = 0,
    *,
    engine: Engine = "scikit-learn",
) -> StandardizedClassifier:
    """Everything that draws lots draws them from the one seed."""
    from fittingroom.models.standardized import StandardizedClassifier

    seeds = [p for p in estimator.get_params() if p.split("__")[-1] == "random_state"]
    seeded = estimator.set_params(**dict.fromkeys(seeds, random_state))
    return StandardizedClassifier(seeded, random_state=random_state, engine=engine)


#: By the names of the grids in `zalando_grid.py`.
BUILDERS: Mapping[str, Callable[..., StandardizedClassifier]] = {
    "zalando-gaussian-nb": gaussian_nb,
    "zalando-extra-tree": extra_tree,
    "zalando-decision-tree": decision_tree,
    "zalando-passive-aggressive": passive_aggressive,
    "zalando-perceptron": perceptron,
    "zalando-sgd": sgd,
    "zalando-random-forest": random_forest,
    "zalando-knn": knn,
    "zalando-mlp": mlp,
    "zalando-logistic": logistic,
    "zalando-linear-svc": linear_svc,
    "zalando-svc": svc,
    "zalando-gradient-boosting": gradient_boosting,
    "zalando-gaussian-process": gaussian_process,
}
