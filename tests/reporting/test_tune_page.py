from __future__ import annotations

import dataclasses
import re
from html import unescape

import numpy as np

from fittingroom.bench.tuning.tuning import Tuning
from fittingroom.reporting.tune_page import render_rate_range, render_tuning
from fittingroom.training.rate_range import RateRange


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_the_page_shows_the_search(tuning: Tuning) -> None:
    html = render_tuning(tuning, "fittingroom tune cnn-32 --trials 12")
    text = text_of(html)
    assert "The best of 10 trials of cnn-32 has an accuracy of 92.00% on the images" in text
    assert "this is expected to be 0.80 points too high: 91.20% on new images" in text
    assert "Final fit with the best settings: test accuracy 90.90%" in text
    assert "Trials: 10 finished, 1 pruned as worse than the median and 1 failed" in text
    assert "fittingroom fit cnn-32 --set epochs=5 --set learning_rate=0.003" in text
    assert "the loss became nan" in text
    assert "learning_rate=0.0001..0.1:log" in text
    assert html.count("<svg ") == 4
    assert html.count('class="failed"') == 2
    assert "<script>alert" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert html == render_tuning(tuning, "fittingroom tune cnn-32 --trials 12")


def test_the_page_without_a_result(tuning: Tuning) -> None:
    empty = dataclasses.replace(
        tuning, trials=tuning.trials[10:], overstatement=None, importance=None, test=None
    )
    text = text_of(render_tuning(empty))
    assert "No trial of cnn-32 has a result yet." in text
    assert "this search didn't read the test split." in text
    assert "<svg" not in render_tuning(empty)


def test_the_page_of_a_learning_rate_range_test() -> None:
    rates = 10.0 ** np.linspace(-5, 0, 50)
    losses = np.concatenate([np.linspace(2.3, 0.5, 40), np.linspace(0.6, 4, 10)])
    html = render_rate_range("cnn-32", RateRange(rates, losses, losses), "Fashion-MNIST")
    text = text_of(html)
    assert "Try a learning rate of 0.0095 for cnn-32. That is a tenth of the rate" in text
    assert "steps; then the loss diverged." in text
    assert html.count("<svg ") == 1
