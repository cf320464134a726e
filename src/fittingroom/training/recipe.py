"""How a network is trained, as data: a frozen dataclass whose ``asdict`` is ready for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from fittingroom.errors import UsageError

Loss = Literal["sparse", "onehot"]
OptimizerName = Literal["adam", "sgd"]
Schedule = Literal["constant", "one-cycle", "cosine", "rising"]
AugmentationName = Literal[
    "none", "keras-shift-flip", "crop-flip", "crop-erase", "crop-erase-mix", "photo"
]
PrecisionName = Literal["auto", "float32", "bfloat16"]
Keep = Literal["last", "best-accuracy", "best-loss"]
Watch = Literal["loss", "accuracy"]

_CHOICES: dict[str, Any] = {
    "loss": Loss,
    "optimizer": OptimizerName,
    "schedule": Schedule,
    "augmentation": AugmentationName,
    "precision": PrecisionName,
    "keep": Keep,
    "watch": Watch,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a network is trained, except the network, data and seed.

    Parameters
    ----------
    loss : cross-entropy with integer labels (``"sparse"``) or with one-hot rows (``"onehot"``)
    label_smoothing : probability spread evenly over all classes, 0 to 1
    optimizer : ``"adam"`` (betas 0.9 and 0.999, epsilon 1e-7 as in Keras) or ``"sgd"``
    learning_rate : the constant rate, the peak of a one-cycle or cosine, the first rate of a rise
    momentum, nesterov : of SGD
    weight_decay : L2 penalty for SGD, decoupled decay for Adam (AdamW); kernels only, never biases
        or batch norm
    schedule : ``"constant"``; ``"one-cycle"``, linearly up to the peak during the first
        ``warmup`` share of all steps, then linearly down to zero; ``"cosine"``, the same up
        but down along half a cosine; ``"rising"``, learning_rate · 10^(e/20) in epoch
        e = 0, 1, 2, …
    warmup : the rising share of a one-cycle or cosine, 0 to 1
    epochs : passes over the training images; a one-cycle or cosine spans all of them
    stop_at : stop after this epoch of the schedule, or None; for a refit on more images, the epoch
        that the validation part chose
    batch_size : images per step; the last batch of an epoch may be smaller
    augmentation : ``"none"``, or a row of ``augment.AUGMENTATIONS``; ``"crop-erase-mix"`` mixes
        labels too and ``"photo"`` spoils some images, see ``augment.MIXINGS``
    averaging : decay per step of an exponential moving average of the weights, which is then
        what is kept; 0 for none
    precision : ``"float32"``, ``"bfloat16"`` (autocast), or ``"auto"``: see ``precision.resolve``
    device : ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"mps"``, …
    keep : which epoch's weights to keep: the last, or the one with the best validation accuracy or
        loss (the first if several tie)
    patience : stop when the watched quantity hasn't improved for this many epochs, or None
    watch : the validation quantity that ``patience`` watches
    restore : keep the weights of the best watched epoch instead of the last

    Raises
    ------
    UsageError : a field has an invalid value
    """

    loss: Loss = "sparse"
    label_smoothing: float = 0.0
    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup: float = 0.2
    epochs: int = 10
    stop_at: int | None = None
    batch_size: int = 32
    augmentation: AugmentationName = "none"
    averaging: float = 0.0
    precision: PrecisionName = "auto"
    device: str = "auto"
    keep: Keep = "last"
    patience: int | None = None
    watch: Watch = "loss"
    restore: bool = False

    def __post_init__(self) -> None:
        for field, literal in _CHOICES.items():
            self._require(field, getattr(self, field) in get_args(literal), _one_of(literal))
        for field in ("epochs", "batch_size"):
            self._require(field, _is_count(getattr(self, field)), "a whole number of at least 1")
        for field in ("stop_at", "patience"):
            value = getattr(self, field)
            self._require(
                field, value is None or _is_count(value), "None or a whole number of at least 1"
            )
        self._require("learning_rate", _within(self.learning_rate, 0, math.inf, 0), "above 0")
        self._require("weight_decay", _within(self.weight_decay, 0, math.inf), "at least 0")
        self._require("warmup", _within(self.warmup, 0, 1), "between 0 and 1")
        for field in ("label_smoothing", "momentum", "averaging"):
            self._require(field, _within(getattr(self, field), 0, 1, 1), "at least 0 and below 1")
        for field in ("nesterov", "restore"):
            self._require(field, isinstance(getattr(self, field), bool), "True or False")
        self._require("device", isinstance(self.device, str) and self.device != "", "a device name")
        self._refuse_contradictions()

    def _require(self, field: str, valid: bool, expected: str) -> None:
        if not valid:
            raise UsageError(f"{field} must be {expected}, not {getattr(self, field)!r}.")

    def _refuse_contradictions(self) -> None:
        if self.stop_at is not None and self.stop_at > self.epochs:
            raise UsageError(
                f"stop_at is {self.stop_at}, but there are only {self.epochs} epochs; "
                f"give at most {self.epochs}."
            )
        if self.nesterov and self.momentum == 0:
            raise UsageError("nesterov needs a momentum above 0, such as momentum=0.9.")
        if self.optimizer == "adam" and self.momentum:
            raise UsageError(f"adam takes no momentum ({self.momentum!r}); use optimizer='sgd'.")
        if self.restore and (self.patience is None or self.keep != "last"):
            raise UsageError(
                "restore keeps the best watched epoch; it needs a patience and keep='last'."
            )

    @property
    def chosen_by(self) -> Watch | None:
        """The validation quantity that decides which epoch's weights are kept, if any does."""
        if self.restore:
            return self.watch
        return {"last": None, "best-accuracy": "accuracy", "best-loss": "loss"}[self.keep]

    @property
    def needs_validation(self) -> bool:
        """Whether training requires validation images."""
        return self.chosen_by is not None or self.patience is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; ``Recipe(**recipe.to_dict())`` is the same recipe."""
        return asdict(self)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _within(value: object, low: float, high: float, excluded: float = math.nan) -> bool:
    """Whether a number lies in low..high, finite and not the excluded end."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
        and value != excluded
    )


def _one_of(literal: Any) -> str:
    return "one of " + ", ".join(repr(choice) for choice in get_args(literal))
