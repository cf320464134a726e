from __future__ import annotations

import subprocess
import sys

from sklearn.svm import SVC

from fittingroom.models.as_network import as_network
from fittingroom.models.network import NetworkClassifier


def test_a_network_is_told_from_other_classifiers() -> None:
    network = NetworkClassifier("mlp")
    assert as_network(network) is network
    assert as_network(SVC()) is None


def test_nothing_is_a_network_before_one_can_be_made() -> None:
    code = """
import sys
from sklearn.svm import SVC
from fittingroom.models.as_network import as_network
print(as_network(SVC()), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "False"]
