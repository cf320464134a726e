from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from fittingroom.data.dataset import Dataset
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.own import is_deterministic, own_spec, with_seed


def test_an_estimator_with_a_seed_anywhere_is_not_deterministic() -> None:
    assert is_deterministic(make_pipeline(MinMaxScaler(), KNeighborsClassifier()))
    assert not is_deterministic(make_pipeline(MinMaxScaler(), RandomForestClassifier()))


def test_a_seed_reaches_nested_estimators_of_a_copy(small: Dataset) -> None:
    own = BaggingClassifier(RandomForestClassifier(random_state=1), random_state=2)
    copy = with_seed(own, small, 7)
    assert (copy.random_state, copy.estimator.random_state) == (7, 7)
    assert (own.random_state, own.estimator.random_state) == (2, 1)


def test_a_network_is_given_the_shape_of_the_images(small: Dataset) -> None:
    net = NetworkClassifier(nn.Flatten(), mirror_keeps_class=not small.mirror_keeps_class)
    copy = with_seed(net, small, 0)
    assert copy.image_shape == small.image_shape
    assert copy.mirror_keeps_class == small.mirror_keeps_class


class Speechless(BaseEstimator):  # type: ignore[misc]
    def get_params(self, deep: bool = True) -> dict[str, object]:
        raise RuntimeError("no parameters")


def test_a_spec_depends_on_the_parameters_but_not_on_the_seed(small: Dataset) -> None:
    keys = [
        own_spec(small, "mine", RandomForestClassifier(trees, random_state=seed), full=False).key
        for trees, seed in ((10, 0), (10, 1), (20, 0))
    ]
    assert keys[0] == keys[1] != keys[2]
    never_found_again = {own_spec(small, "mine", Speechless(), full=False).key for _ in range(2)}
    assert len(never_found_again) == 2
    assert not is_deterministic(Speechless())
