"""Whether a classifier is a network, without importing torch for one that isn't."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from fittingroom.models.network import NetworkClassifier


def as_network(classifier: BaseEstimator) -> NetworkClassifier | None:
    """The classifier itself if it is a network, else None."""
    network = sys.modules.get("fittingroom.models.network")  # imported, if there is one
    if network is None or not isinstance(classifier, network.NetworkClassifier):
        return None
    found: NetworkClassifier = classifier
    return found
