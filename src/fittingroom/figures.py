"""Plots of results, as matplotlib figures that a notebook shows and `savefig` saves.

>>> import fittingroom
>>> board = fittingroom.compare("fashion-mnist", ["knn", "swift"])  # doctest: +SKIP
>>> fittingroom.figures.accuracy_intervals(board).savefig("accuracy.pdf")  # doctest: +SKIP
"""

from __future__ import annotations

from fittingroom.reporting.critical_difference import critical_difference
from fittingroom.reporting.figures import (
    accuracy_against_prediction_time,
    accuracy_against_time,
    accuracy_intervals,
    confusion,
    differences,
)
from fittingroom.reporting.model_figures import learning_curves, reliability_diagram

__all__ = [
    "accuracy_against_prediction_time",
    "accuracy_against_time",
    "accuracy_intervals",
    "confusion",
    "critical_difference",
    "differences",
    "learning_curves",
    "reliability_diagram",
]
