"""A network of the catalogue as a bundle's files: its weights, and what the manifest says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fittingroom.bundles.manifest import WEIGHTS, Facts, Network
from fittingroom.bundles.weights import build_network, from_bytes, network_of, weights_of
from fittingroom.models.network import NetworkClassifier, count_parameters


def describe(classifier: NetworkClassifier) -> Network:
    """How a manifest describes it; raises BundleError for a module of the caller's own."""
    return network_of(classifier)


def files_of(classifier: NetworkClassifier) -> dict[str, bytes]:
    """Its files by name."""
    return {WEIGHTS: weights_of(classifier.net_)}


def build(facts: Facts, description: Network, files: Mapping[str, bytes]) -> NetworkClassifier:
    """The fitted classifier; raises BundleError if the files don't fit the description."""
    shape = facts.image_shape
    arrays = from_bytes(files[WEIGHTS], WEIGHTS)
    classifier = NetworkClassifier(
        description.net, net_options=dict(description.options), image_shape=shape
    )
    classifier.net_ = build_network(description, shape, len(facts.classes), arrays)
    classifier.image_shape_ = shape
    classifier.n_parameters_ = count_parameters(classifier.net_)
    classifier.precision_ = description.precision
    classifier.kept_epoch_ = description.kept_epoch
    classifier.classes_ = np.array(facts.classes)
    classifier.n_features_in_ = math.prod(shape)
    return classifier
