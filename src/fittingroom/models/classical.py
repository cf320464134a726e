"""Builders of the catalogue's classical models.

Each imports scikit-learn when it is called, so that reading the catalogue doesn't. Settings that
nobody published were chosen on the selection half of the validation part; `docs/log.md` lists what
else was tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.svm import SVC

    from fittingroom.models.calibrated_svm import CalibratedSVM
    from fittingroom.models.engine import Engine
    from fittingroom.models.pixel_classifier import PixelClassifier

_LARGE = 64 * 64  # pixels per image above which `hog_svm` uses larger cells


def logistic(
    *,
    C: float = 0.1,
    tol: float = 1e-4,
    max_iter: int = 5000,
    solver: str = "lbfgs",
    class_weight: str | None = None,
    scale: float = 255.0,
    centre: bool = True,
    engine: Engine = "auto",
) -> PixelClassifier:
    """Multinomial logistic regression, run until convergence.

    Centring halves the iterations of lbfgs and changes nothing else, since the intercepts are free.
    Stochastic solvers always use the same seed.
    """
    from sklearn.linear_model import LogisticRegression

    from fittingroom.models.pixel_classifier import PixelClassifier

    estimator = LogisticRegression(
        C=C, tol=tol, max_iter=max_iter, solver=solver, class_weight=class_weight, random_state=0
    )
    return PixelClassifier(estimator, scale=scale, centre=centre, engine=engine)


def linear_svm(*, C: float = 1.0, tol: float = 1e-4, max_iter: int = 1000) -> CalibratedSVM:
    """One linear SVM per class against the rest, squared hinge loss, solved in the primal."""
    from sklearn.svm import LinearSVC

    from fittingroom.models.calibrated_svm import CalibratedSVM

    return CalibratedSVM(LinearSVC(dual=False, C=C, tol=tol, max_iter=max_iter))


def svm_rbf(
    *, C: float = 10.0, gamma: float | str = "scale", engine: Engine = "auto"
) -> CalibratedSVM:
    """One SVM with a Gaussian kernel for each pair of classes."""
    from fittingroom.models.calibrated_svm import CalibratedSVM

    return CalibratedSVM(_svc(C, gamma), engine=engine)


def knn(
    *, n_neighbors: int = 5, weights: str = "uniform", engine: Engine = "auto"
) -> PixelClassifier:
    """The classes of the nearest training images, by Euclidean distance.

    Not scaled: squared distances of integers are integers, so equal distances stay equal.
    """
    from sklearn.neighbors import KNeighborsClassifier

    from fittingroom.models.pixel_classifier import PixelClassifier

    estimator = KNeighborsClassifier(n_neighbors, weights=weights, algorithm="brute")
    return PixelClassifier(estimator, scale=1.0, engine=engine)


def random_forest(
    *,
    n_estimators: int = 100,
    max_depth: int | None = None,
    class_weight: str | None = None,
    random_state: int | None = 0,
    engine: Engine = "auto",
) -> PixelClassifier:
    """Trees on resampled images that try 28 random pixels per split; trees need no scaling."""
    from sklearn.ensemble import RandomForestClassifier

    from fittingroom.models.pixel_classifier import PixelClassifier

    estimator = RandomForestClassifier(
        n_estimators,
        max_depth=max_depth,
        class_weight=class_weight,
        random_state=random_state,
        n_jobs=-1,
    )
    return PixelClassifier(estimator, scale=1.0, engine=engine)


def hist_gradient_boosting(
    *,
    max_iter: int = 100,
    learning_rate: float = 0.1,
    max_leaf_nodes: int = 31,
    max_bins: int = 64,
    l2_regularization: float = 1.0,
) -> PixelClassifier:
    """Boosted trees on pixels in 64 bins of brightness.

    Without early stopping, which would hold out images of its own. At twice this rate and without a
    penalty the trees diverge after twenty rounds. Deterministic: bins come from all images up to
    200,000, and every split tries all pixels.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    from fittingroom.models.pixel_classifier import PixelClassifier

    estimator = HistGradientBoostingClassifier(
        max_iter=max_iter,
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        max_bins=max_bins,
        l2_regularization=l2_regularization,
        early_stopping=False,
    )
    return PixelClassifier(estimator, scale=1.0)


def hog_svm(
    *,
    C: float = 10.0,
    gamma: float | str = 1.2,
    orientations: int = 9,
    cell: int | None = None,
    block: int = 8,
    square_root: bool = True,
    second_grid: bool = True,
    image_shape: tuple[int, int] | None = None,
    engine: Engine = "auto",
) -> CalibratedSVM:
    """Histograms of oriented gradients, then an SVM with a Gaussian kernel.

    A single block that covers the image (8×8 cells) beats the usual small overlapping ones here,
    and a second grid of cells between the first's is worth one point of accuracy. By default a cell
    is 4 pixels wide, and a seventh of the shorter side on images of more than 64×64 pixels: cells
    of 4 would give millions of numbers per image.
    """
    from fittingroom.models.calibrated_svm import CalibratedSVM
    from fittingroom.models.hog import HogFeatures

    height, width = image_shape or (28, 28)
    if cell is None:
        cell = 4 if height * width <= _LARGE else max(4, min(height, width) // 7)
    features = HogFeatures(
        orientations=orientations,
        cell=cell,
        block=block,
        square_root=square_root,
        second_grid=second_grid,
        image_shape=image_shape,
    )
    return CalibratedSVM(_svc(C, gamma), features=features, engine=engine)


def _svc(C: float, gamma: float | str) -> SVC:
    from sklearn.svm import SVC

    return SVC(C=C, gamma=gamma, cache_size=500)  # MB of kernel rows
