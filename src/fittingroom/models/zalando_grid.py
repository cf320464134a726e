"""The benchmark that the makers of Fashion-MNIST shipped with it: its classifiers and their grids.

Source: github.com/zalandoresearch/fashion-mnist at b2617bb, `benchmark/baselines.json`, with the
parameters as written there. `zalando.py` builds each with today's scikit-learn; reading this
doesn't import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One classifier and the values that the benchmark tries: their full product.

    Attributes
    ----------
    name : the classifier's row in the catalogue
    written : its class, as the benchmark names it
    axes : values by parameter, as written
    about : what it is, in one line
    seconds : estimated time of a typical point on 54,000 images
    deterministic : nothing is random; the order of the images only changes rounding
    grows_with : parameters that can only make a fit longer
    impractical : why no point is fitted
    refused : a combination of values that scikit-learn refuses, in every release
    adaptation : what has to be written differently today
    """

    name: str
    written: str
    axes: Mapping[str, tuple[Any, ...]]
    about: str
    seconds: float
    deterministic: bool = False
    grows_with: tuple[str, ...] = ()
    impractical: str | None = None
    refused: Mapping[str, Any] = field(default_factory=dict)
    adaptation: str | None = None

    @property
    def points(self) -> tuple[dict[str, Any], ...]:
        """Every combination of the values, with the last parameter varying fastest."""
        return tuple(
            dict(zip(self.axes, point, strict=True)) for point in product(*self.axes.values())
        )

    def choices(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a point that have more than one value; the builder has the others."""
        return {name: value for name, value in point.items() if len(self.axes[name]) > 1}

    def refuses(self, point: Mapping[str, Any]) -> bool:
        """Whether every release of scikit-learn refuses this point."""
        return bool(self.refused) and self.refused.items() <= point.items()


_TREE = {
    "criterion": ("gini", "entropy"),
    "splitter": ("best", "random"),
    "max_depth": (10, 50, 100),
}
_C = (1.0, 10.0, 100.0)

#: The cheapest first.
GRIDS: tuple[Grid, ...] = (
    Grid(
        name="zalando-gaussian-nb",
        written="GaussianNB",
        axes={"priors": ([0.1] * 10,)},
        about="naive Bayes with Gaussian pixels",
        seconds=5,
        deterministic=True,
    ),
    Grid(
        name="zalando-extra-tree",
        written="ExtraTreeClassifier",
        axes=_TREE,
        about="one tree with random thresholds",
        seconds=10,
    ),
    Grid(
        name="zalando-decision-tree",
        written="DecisionTreeClassifier",
        axes=_TREE,
        about="one decision tree",
        seconds=60,
    ),
    Grid(
        name="zalando-passive-aggressive",
        written="PassiveAggressiveClassifier",
        axes={"C": _C},
        about="passive-aggressive linear classifier",
        seconds=60,
        adaptation="SGDClassifier with the same updates (hinge, no penalty, learning_rate pa1, "
        "eta0 = C), since the class goes in scikit-learn 1.10",
    ),
    Grid(
        name="zalando-perceptron",
        written="Perceptron",
        axes={"penalty": ("l1", "l2", "elasticnet")},
        about="perceptron, a linear classifier",
        seconds=60,
    ),
    Grid(
        name="zalando-sgd",
        written="SGDClassifier",
        axes={
            "loss": ("hinge", "squared_hinge", "perceptron", "log", "modified_huber"),
            "penalty": ("l1", "l2", "elasticnet"),
        },
        about="linear classifiers by stochastic gradient descent",
        seconds=120,
        adaptation="loss log is called log_loss",
    ),
    Grid(
        name="zalando-random-forest",
        written="RandomForestClassifier",
        axes={
            "criterion": ("gini", "entropy"),
            "max_depth": (10, 50, 100),
            "n_estimators": (10, 50, 100),
        },
        about="random forest",
        seconds=60,
    ),
    Grid(
        name="zalando-knn",
        written="KNeighborsClassifier",
        axes={"n_neighbors": (1, 5, 9), "weights": ("uniform", "distance"), "p": (1, 2)},
        about="nearest neighbours, by either distance",
        seconds=200,
        deterministic=True,
    ),
    Grid(
        name="zalando-mlp",
        written="MLPClassifier",
        axes={
            "activation": ("tanh", "relu"),
            "hidden_layer_sizes": ([10], [100], [10, 10], [100, 10]),
        },
        about="one or two hidden layers, Adam",
        seconds=400,
    ),
    Grid(
        name="zalando-logistic",
        written="LogisticRegression",
        axes={"penalty": ("l1", "l2"), "C": _C, "multi_class": ("ovr", "multinomial")},
        about="logistic regression, one class against the rest or multinomial",
        seconds=400,
        adaptation="multi_class is gone: ovr is OneVsRestClassifier with liblinear, the default "
        "solver of that time; multinomial, which liblinear refused, is solved by saga (l1) or "
        "lbfgs (l2); penalty is l1_ratio 1 or 0",
    ),
    Grid(
        name="zalando-linear-svc",
        written="LinearSVC",
        axes={
            "loss": ("hinge", "squared_hinge"),
            "penalty": ("l1", "l2"),
            "C": _C,
            "multi_class": ("ovr", "crammer_singer"),
        },
        about="linear SVM, one class against the rest or Crammer and Singer's",
        seconds=600,
        refused={"loss": "hinge", "penalty": "l1", "multi_class": "ovr"},
        adaptation="as written; l1 with squared_hinge is valid now, since dual is chosen by "
        "default; crammer_singer ignores loss and penalty, so its 12 points are 3 fits",
    ),
    Grid(
        name="zalando-svc",
        written="SVC",
        axes={"C": _C, "kernel": ("linear", "rbf", "poly", "sigmoid")},
        about="SVM with one of four kernels",
        seconds=600,
        deterministic=True,
    ),
    Grid(
        name="zalando-gradient-boosting",
        written="GradientBoostingClassifier",
        axes={"loss": ("deviance",), "n_estimators": (10, 50, 100), "max_depth": (3, 10, 50)},
        about="boosted trees that look at every threshold",
        seconds=6000,
        grows_with=("n_estimators", "max_depth"),
        adaptation="loss deviance is called log_loss",
    ),
    Grid(
        name="zalando-gaussian-process",
        written="GaussianProcessClassifier",
        axes={"multi_class": ("one_vs_one", "one_vs_rest")},
        about="Gaussian process",
        seconds=100_000,
        deterministic=True,
        impractical="memory grows with the square of the number of images and time with its cube: "
        "on 54,000 one_vs_rest needs a kernel matrix of 23 GB for each class, and one_vs_one 45 "
        "fits on 10,800 images each",
    ),
)
