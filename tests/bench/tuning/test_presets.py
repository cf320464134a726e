from __future__ import annotations

import pytest

from fittingroom.bench.tuning.presets import PRESETS, preset_of
from fittingroom.bench.tuning.space import parse_space
from fittingroom.bench.tuning.tune import check_space
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.models.catalog import MODELS

#: For each preset a model, and the number of points of its grid.
MADE_FOR = {
    "depth": ("random-forest", 22),
    "learning-rate": ("mlp-10-10", 40),
    "epochs": ("mlp-10-10", 6),
    "size": ("cnn-32", 3),
    "pooling": ("cnn-16-32-64-128", 2),
    "augmentation": ("cnn-16-32-64-128", 2),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_grid_that_its_model_accepts(name: str) -> None:
    model, points = MADE_FOR[name]
    space = preset_of(name)
    assert len(space.grid()) == points
    check_space(model, space)


def test_what_all_points_of_a_preset_have_in_common() -> None:
    assert preset_of("epochs").fixed == {"keep": "last", "restore": True}
    assert preset_of("depth").fixed == {"n_estimators": 20}


def test_the_published_rates() -> None:
    rates = preset_of("learning-rate").dimensions["learning_rate"].probes()
    assert rates[0] == 1e-3
    assert rates[20] == 1e-2
    assert rates[-1] == pytest.approx(0.0891, abs=1e-4)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UnknownNameError, match="depth"):
        preset_of("dept")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_accepts_its_default_space(name: str) -> None:
    space = parse_space(MODELS[name].space)
    assert not space.fixed
    check_space(name, space)


def test_settings_that_a_model_does_not_take_are_rejected() -> None:
    with pytest.raises(UnknownNameError, match="n_neighbors"):
        check_space("knn", parse_space({"n_neighbor": "1..3"}))
    with pytest.raises(UnknownNameError, match="cnn-32"):
        check_space("cnn-32", parse_space({"model": "cnn-32|cnn-33"}))
    with pytest.raises(UsageError, match="augmentation must be one of"):
        check_space("cnn-32", parse_space({"augmentation": "none|flop", "epochs": 2}))
    with pytest.raises(UsageError, match="learning_rate must be above 0"):
        check_space("cnn-32", parse_space({"learning_rate": "0..1"}))
    # If models are searched, each must take the setting.
    check_space("random-forest", parse_space({"model": "mlp-10-10|mlp-532", "epochs": 1}))
    check_space("random-forest", parse_space({"model": "mlp-532", "epochs": "1|2"}))
    with pytest.raises(UnknownNameError, match="of knn 'epochs'"):
        check_space("mlp-10-10", parse_space({"model": "mlp-10-10|knn", "epochs": "3..5"}))
    # A setting may be valid only in combination with another.
    check_space("mlp-532", parse_space({"nesterov": "true|false", "momentum": "0..0.9"}))
