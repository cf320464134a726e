"""The attributes that objects of a bundle's estimator may have.

These are the ones that a fit sets, besides the parameters of the class. Parameters that only some
versions of scikit-learn have are listed too.
"""

from __future__ import annotations

from collections.abc import Collection

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import LabelEncoder
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

_CLASSIFIER = ("_sklearn_version", "classes_", "n_features_in_")

_FITTED: dict[type, tuple[str, ...]] = {
    LogisticRegression: (
        *_CLASSIFIER,
        *("coef_", "intercept_", "n_iter_", "multi_class", "penalty", "l1_ratio", "n_jobs"),
    ),
    LinearSVC: (*_CLASSIFIER, "coef_", "intercept_", "n_iter_"),
    SVC: (
        *_CLASSIFIER,
        *("_dual_coef_", "_effective_probability", "_gamma", "_intercept_", "_n_support"),
        *("_probA", "_probB", "_sparse", "class_weight_", "dual_coef_", "epsilon", "fit_status_"),
        *("intercept_", "n_iter_", "nu", "probability", "shape_fit_", "support_"),
        "support_vectors_",
    ),
    KNeighborsClassifier: (
        *_CLASSIFIER,
        *("_fit_X", "_fit_method", "_tree", "_y", "effective_metric_", "radius"),
        *("effective_metric_params_", "n_samples_fit_", "outputs_2d_"),
    ),
    RandomForestClassifier: (
        *_CLASSIFIER,
        *("_n_samples", "_n_samples_bootstrap", "_sample_weight", "estimator", "estimator_"),
        *("estimator_params", "estimators_", "n_classes_", "n_outputs_"),
    ),
    DecisionTreeClassifier: (
        *_CLASSIFIER,
        *("max_features_", "n_classes_", "n_outputs_", "tree_"),
    ),
    HistGradientBoostingClassifier: (
        *_CLASSIFIER,
        *("_baseline_prediction", "_bin_mapper", "_feature_subsample_rng", "_label_encoder"),
        *("_is_categorical_remapped", "_loss", "_n_features", "_predictors", "_preprocessor"),
        *("_random_seed", "_scorer", "_use_validation_data", "do_early_stopping_"),
        *("is_categorical_", "n_trees_per_iteration_", "train_score_", "validation_score_"),
    ),
    LabelEncoder: ("_sklearn_version", "classes_"),
}
_LOSS = (
    *("approx_hessian", "closs", "constant_hessian", "device", "interval_y_pred"),
    *("interval_y_true", "link", "n_classes", "xp"),
)

#: By class name.
ATTRIBUTES: dict[str, Collection[str]] = {
    **{
        kind.__name__: {*fitted, *kind._get_param_names()}  # type: ignore[attr-defined]
        for kind, fitted in _FITTED.items()
    },
    "HalfBinomialLoss": {*_LOSS},
    "HalfMultinomialLoss": {*_LOSS, "class_indexing_offsets", "y_true_int", "y_true_one_hot"},
    "Interval": {"high", "high_inclusive", "low", "low_inclusive"},
    "LogitLink": (),
    "MultinomialLogit": (),
    "TreePredictor": {"binned_left_cat_bitsets", "nodes", "raw_left_cat_bitsets"},
    "_BinMapper": {
        *("_sklearn_version", "bin_thresholds_", "is_categorical", "is_categorical_"),
        *("known_categories", "missing_values_bin_idx_", "n_bins", "n_bins_non_missing_"),
        *("n_threads", "random_state", "subsample"),
    },
}
