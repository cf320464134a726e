from __future__ import annotations

from dataclasses import replace

import numpy as np

from fittingroom.bench.tuning.tuning import Tuning
from fittingroom.reporting import tune_words
from fittingroom.training.rate_range import STEPS, RateRange


def test_a_loss_that_never_diverged() -> None:
    losses = np.linspace(2.3, 0.5, STEPS)
    rates = RateRange(10.0 ** np.linspace(-5, 1, STEPS), losses, losses)
    assert "300 of 300 steps; the loss never diverged." in tune_words.reason(rates)


def test_a_bias_that_is_unknown_or_of_folds_is_worded_so(tuning: Tuning) -> None:
    folds = tune_words.selection_bias(replace(tuning, folds=5))
    assert "10 trials on 3,000 images (5 folds), so this is expected to be 0.80" in folds
    assert "some trials are stored elsewhere" in tune_words.selection_bias(
        replace(tuning, overstatement=None)
    )
    assert tune_words.selection_bias(replace(tuning, overstatement=None, trials=())) == ""


def test_a_failed_final_fit_is_not_a_missing_one(tuning: Tuning) -> None:
    failed = replace(tuning, test=None, test_failure="out of memory.")
    assert tune_words.final_fit(failed).endswith("with the best settings failed: out of memory.")


def test_a_search_that_is_not_complete_can_be_resumed(tuning: Tuning) -> None:
    sentence = "The same command resumes the search."
    assert sentence not in tune_words.trial_counts(tuning)
    assert sentence in tune_words.trial_counts(replace(tuning, interrupted=True))
    more = tune_words.trial_counts(replace(tuning, trials=(), n_trials=20))
    assert more == f"Trials: none yet, of 20. {sentence}"
