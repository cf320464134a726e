"""Builders of the makers' benchmark: each grid's parameters as written, for today's scikit-learn.

Repaired for scikit-learn 1.9; `zalando_grid.py` describes what had to be changed. Parameters that a
grid doesn't name have today's defaults, except `n_jobs`, which only changes the time. Each imports
scikit-learn when it is called, so that reading the catalogue doesn't.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fittingroom.models.engine import Engine
    from fittingroom.models.standardized import StandardizedClassifier

_LOSSES = {"log": "log_loss", "deviance": "log_loss"}


def gaussian_nb(*, priors: Sequence[float] = (0.1,) * 10) -> StandardizedClassifier:
    from sklearn.naive_bayes import GaussianNB

    return _standardize(GaussianNB(priors=list(priors)))


def extra_tree(
    *,
    criterion: str = "gini",
    splitter: str = "random",
    max_depth: int | None = None,
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.tree import ExtraTreeClassifier

    tree = ExtraTreeClassifier(criterion=criterion, splitter=splitter, max_depth=max_depth)
    return _standardize(tree, random_state)


def decision_tree(
    *,
    criterion: str = "gini",
    splitter: str = "best",
    max_depth: int | None = None,
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(criterion=criterion, splitter=splitter, max_depth=max_depth)
    return _standardize(tree, random_state)


def passive_aggressive(*, C: float = 1.0, random_state: int | None = 0) -> StandardizedClassifier:
    """PA-I of Crammer et al. 2006 (JMLR 7:551-585): the updates of PassiveAggressiveClassifier."""
    from sklearn.linear_model import SGDClassifier

    return _standardize(
        SGDClassifier(loss="hinge", penalty=None, learning_rate="pa1", eta0=C, n_jobs=-1),
        random_state,
    )


def perceptron(
    *, penalty: str | None = None, random_state: int | None = 0
) -> StandardizedClassifier:
    from sklearn.linear_model import Perceptron

    return _standardize(Perceptron(penalty=penalty, n_jobs=-1), random_state)


def sgd(
    *, loss: str = "hinge", penalty: str = "l2", random_state: int | None = 0
) -> StandardizedClassifier:
    from sklearn.linear_model import SGDClassifier

    return _standardize(
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
    return _standardize(forest, random_state)


def knn(*, n_neighbors: int = 5, weights: str = "uniform", p: int = 2) -> StandardizedClassifier:
    from sklearn.neighbors import KNeighborsClassifier

    return _standardize(KNeighborsClassifier(n_neighbors, weights=weights, p=p, n_jobs=-1))


def mlp(
    *,
    activation: str = "relu",
    hidden_layer_sizes: Sequence[int] = (100,),
    random_state: int | None = 0,
) -> StandardizedClassifier:
    from sklearn.neural_network import MLPClassifier

    return _standardize(MLPClassifier(tuple(hidden_layer_sizes), activation), random_state)


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
            f"penalty is {penalty!r} and multi_class {multi_class!r}; use l1 or l2, and ovr or "
            "multinomial."
        )
    chosen: dict[str, Any] = {"l1_ratio": 1.0 if penalty == "l1" else 0.0}
    if LogisticRegression().penalty == "l2":  # scikit-learn before 1.8
        chosen = {"penalty": penalty}
    if multi_class == "ovr":
        binary = LogisticRegression(**chosen, C=C, solver="liblinear")
        return _standardize(OneVsRestClassifier(binary), random_state)
    solver = "saga" if penalty == "l1" else "lbfgs"  # lbfgs can't do l1
    return _standardize(LogisticRegression(**chosen, C=C, solver=solver), random_state)


def linear_svc(
    *,
    loss: str = "squared_hinge",
    penalty: str = "l2",
    C: float = 1.0,
    multi_class: str = "ovr",
    random_state: int | None = 0,
) -> StandardizedClassifier:
    """With Crammer and Singer's method liblinear ignores loss and penalty: they are left out."""
    from sklearn.svm import LinearSVC

    if multi_class == "crammer_singer":
        return _standardize(LinearSVC(C=C, multi_class=multi_class), random_state)
    machine = LinearSVC(loss=loss, penalty=penalty, C=C, multi_class=multi_class)
    return _standardize(machine, random_state)


def svc(*, C: float = 1.0, kernel: str = "rbf") -> StandardizedClassifier:
    """For three of the kernels the solution is unique, whichever engine finds it.

    The sigmoid isn't a valid kernel (not positive semidefinite): the result depends on the solver's
    path, so scikit-learn fits it.
    """
    from sklearn.svm import SVC

    engine: Engine = "scikit-learn" if kernel == "sigmoid" else "auto"
    return _standardize(SVC(C=C, kernel=kernel), engine=engine)


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
    return _standardize(boosting, random_state)


def gaussian_process(*, multi_class: str = "one_vs_rest") -> StandardizedClassifier:
    from sklearn.gaussian_process import GaussianProcessClassifier

    return _standardize(GaussianProcessClassifier(multi_class=multi_class))


def _standardize(
    estimator: BaseEstimator,
    random_state: int | None = 0,
    *,
    engine: Engine = "scikit-learn",
) -> StandardizedClassifier:
    """A point of a grid on standardised pixels, with one seed for everything random."""
    from fittingroom.models.standardized import StandardizedClassifier

    names = [p for p in estimator.get_params() if p.split("__")[-1] == "random_state"]
    seeded = estimator.set_params(**dict.fromkeys(names, random_state))
    return StandardizedClassifier(seeded, random_state=random_state, engine=engine)


#: Builders by the names of the grids in `zalando_grid.py`.
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
