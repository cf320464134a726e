"""`Epoch`: a row of the training history; reading one doesn't need torch."""

from __future__ import annotations

from dataclasses import dataclass

from fittingroom.untrusted import STRICT


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The figures of one pass over the training images: a row of the history.

    The training figures are means over the epoch, with dropout and augmentation on and the weights
    changing, as Keras logs them. The training loss is the loss minimised, including label
    smoothing; the validation loss is the plain cross-entropy, in the precision of the training.
    """

    __pydantic_config__ = STRICT

    epoch: int  # 1-based
    learning_rate: float  # at the epoch's first step
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float  # including validation
