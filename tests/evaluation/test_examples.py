from __future__ import annotations

import numpy as np

from fittingroom.evaluation.examples import (
    doubtful_hits,
    newly_correct,
    random_images,
    surest_mistakes,
)

LABELS = np.array([0, 0, 0, 1, 1, 1])
FIRST = np.array([0.9, 0.6, 0.2, 0.7, 0.95, 0.1])  # of class 0
BEFORE = np.column_stack([FIRST, 1 - FIRST])


def test_the_most_confident_mistakes_come_first() -> None:
    assert surest_mistakes(BEFORE, LABELS, 9).tolist() == [4, 2, 3]
    assert surest_mistakes(BEFORE, LABELS, 1).tolist() == [4]


def test_the_least_confident_hits_come_first() -> None:
    assert doubtful_hits(BEFORE, LABELS, 9).tolist() == [1, 0, 5]


def test_what_was_fixed_and_what_was_broken() -> None:
    after = BEFORE.copy()
    after[2], after[3], after[0] = [0.6, 0.4], [0.05, 0.95], [0.4, 0.6]
    assert newly_correct(BEFORE, after, LABELS).tolist() == [3, 2]
    assert newly_correct(after, BEFORE, LABELS).tolist() == [0]


def test_random_images_are_always_the_same_and_all_different() -> None:
    drawn = random_images(50, 25)
    assert drawn.tolist() == random_images(50, 25).tolist() != random_images(50, 25, 1).tolist()
    assert len(set(drawn.tolist())) == 25
    assert sorted(random_images(5, 25).tolist()) == [0, 1, 2, 3, 4]
