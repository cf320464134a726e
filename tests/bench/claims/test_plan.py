from __future__ import annotations

import pytest

from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ClaimStore
from fittingroom.bench.claims.plan import Plan, fit_limit
from fittingroom.data.dataset import Dataset
from fittingroom.models.catalog import row_of
from fittingroom.runs.store import Store


@pytest.mark.parametrize(
    ("time_limit", "budget", "expected"),
    [(None, None, None), (60, None, 60), (None, 90, 90), (60, 90, 60), (60, 30, 30)],
)
def test_one_fit_may_take_its_limit_or_all_of_the_budget(
    time_limit: float | None, budget: float | None, expected: float | None
) -> None:
    assert fit_limit(time_limit, budget) == expected


def test_the_plan_counts_shared_runs_once(small: Dataset, store: Store) -> None:
    runs = ClaimStore(store, small)
    plan = Plan.of(load_claims(["s2-cnn1"])[0], runs, 5, None)
    assert [(arm.n_fits, arm.seconds) for arm in plan.fitted] == [
        (5, row_of("cnn-32-64-64").seconds)
    ]
    assert plan.n_fits == 5


def test_a_smaller_recipe_verifies_nothing_either(small: Dataset, store: Store) -> None:
    """It is run where the recipe itself would take longer than the limit, and it doesn't."""
    (claim,) = load_claims(["s4-pooling"])
    assert claim.reduced is not None
    plan = Plan.of(claim, ClaimStore(store, small), 3, claim.reduced.seconds)
    assert str(plan.instead).endswith("Run instead with epochs 3 and 1 seed.")
    assert not plan.verifies
    assert {len(arm.seeds) for arm in plan.arms} == {1}
    assert Plan.of(claim, ClaimStore(store, small), 3, claim.reduced.seconds - 1).arms == ()


def test_settings_of_our_own_are_run_but_verify_nothing(small: Dataset, store: Store) -> None:
    runs, (claim,) = ClaimStore(store, small), load_claims(["zalando-hog-svm"])
    plan = Plan.of(claim, runs, 3, None)
    assert [arm.name for arm in plan.fitted] == ["honest"]
    assert (plan.instead, plan.verifies) == (
        "The source names no settings. Run with our own settings.",
        False,
    )
    too_slow = Plan.of(claim, runs, 3, 0.5)
    assert too_slow.arms == ()
    assert str(too_slow.instead).startswith("The source names no settings. Left out: one fit")
