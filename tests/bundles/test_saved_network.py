"""saved_network.py: a network's files, and the classifier built from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from fittingroom.bundles import saved_network
from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.manifest import Network
from fittingroom.errors import BundleError
from fittingroom.models.network import NetworkClassifier


def test_a_network_survives_its_files(
    bundles: Mapping[str, Bundle], test_images: np.ndarray
) -> None:
    bundle = bundles["cnn-6-16-120"]
    description = saved_network.describe(bundle.classifier)
    assert isinstance(description, Network)
    assert description == bundle.facts.classifier
    files = saved_network.files_of(bundle.classifier)
    assert set(files) == {"weights.safetensors"}
    again = saved_network.build(bundle.facts, description, files)
    assert again.classes_.tolist() == bundle.facts.classes
    assert again.n_parameters_ == bundle.classifier.n_parameters_
    images = test_images[:20].reshape(20, -1)
    np.testing.assert_array_equal(
        again.predict_proba(images), bundle.classifier.predict_proba(images)
    )


def test_a_module_of_ones_own_has_no_description() -> None:
    own = NetworkClassifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)))
    with pytest.raises(BundleError, match="a Sequential of your own can't be saved as data alone"):
        saved_network.describe(own)
