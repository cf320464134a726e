"""`Epoch`: a row of a training's history, which is read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from fittingroom.untrusted import STRICT


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one pass over the training images left: a row of the history.

    The training figures are means over the epoch, with dropout and augmentation on and the
    weights moving, as Keras logs them. The training loss is the one trained with, label smoothing
    and all; the validation loss is the plain cross-entropy, in the precision of the training.
    """

    __pydantic_config__ = STRICT

    epoch: int  # 1-based
    learning_rate: float  # of the epoch's first step
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float  # validation included
