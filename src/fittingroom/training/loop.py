"""The training loop of every network, and prediction.

``train`` loops over epochs, ``_train_epoch`` over the steps of one, ``_measure`` over the
validation images. The data set is one uint8 tensor, or stays on disk as a memory map; each batch is
converted to float32 in 0..1 when it is used.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.errors import NotFiniteError, UsageError
from fittingroom.training import precision
from fittingroom.training.augment import Batch, Mixture
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.distributed import ALONE, Group, current, refuse_unshareable
from fittingroom.training.epoch import Epoch
from fittingroom.training.fit import Fit
from fittingroom.training.memory import keep_freed_memory
from fittingroom.training.optim import learning_rate
from fittingroom.training.recipe import Recipe
from fittingroom.training.shuffle import BUFFER, Images, Stretch, shuffled_stretches

#: Images predicted at once: more wouldn't fit a processor's cache.
PREDICTION_BATCH = 500
#: The most pixels predicted at once: fewer images if they are larger than 64 × 64, since a
#: network's feature maps are many times as large.
PREDICTION_PIXELS = 2**21


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The result of a training run; the trained weights are in the network itself."""

    history: tuple[Epoch, ...]
    kept_epoch: int  # the epoch whose weights were kept, 1-based
    precision: str  # "float32" or "bfloat16"
    device: str
    seconds: float  # in this process
    seconds_before: float  # in processes that were killed


def train(
    net: nn.Module,
    images: Images,
    labels: Tensor,
    recipe: Recipe,
    *,
    validation: tuple[Images, Tensor] | None = None,
    seed: int = 0,
    mirror_keeps_class: bool = False,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[Epoch, int], None] | None = None,
) -> TrainingResult:
    """Train a network in place according to a recipe; leave it on the CPU with the kept weights.

    Inside `distributed.joined` this process is one of several that all call it with the same
    arguments, and end with the same weights and history.

    Parameters
    ----------
    net : module from float32 (batch, 1, height, width) in 0..1 to logits (batch, classes); its
        ``fit_constants(images)``, if it has one, is called first with all training images, or
        with the first 128 MB of mapped ones
    images : (n, height, width) pixels in 0..255: uint8 or float32, or rows of a memory map, which
        stay on disk and are shuffled in blocks (see `shuffled_stretches`)
    labels : (n,) int64, 0 … classes - 1
    validation : (images, labels) to evaluate on after every epoch and, if the recipe says so, to
        choose the epoch by
    seed : decides order, augmentation and dropout; the global generator's state is restored
    mirror_keeps_class : whether augmentation may mirror images
    checkpoint : written after epochs; if it holds a state of this very training, training resumes
        from there, and the result is the same to the bit as without the interruption
    on_epoch : called after every epoch with its figures and the number of epochs planned

    Raises
    ------
    NotFiniteError : the loss became NaN or infinite
    UsageError : the recipe needs validation images and there are none, or several processes can't
        share this training
    DataError : the file of mapped images changed during training
    """
    if recipe.needs_validation and validation is None:
        raise UsageError("this recipe needs validation images; pass validation=(X, y).")
    group = current()
    if group.size > 1:
        refuse_unshareable(net, recipe)
    started = time.perf_counter()
    device = group.device(precision.resolve_device(recipe.device))
    fit = begin(net, images, labels, recipe, device, seed, mirror_keeps_class, group)
    planned = recipe.stop_at or recipe.epochs
    with resumable(fit, seed):
        if checkpoint is not None:
            fit.resume(checkpoint)
        while len(fit.history) < planned and not fit.out_of_patience():
            epoch = _run_epoch(fit, validation)
            fit.note(epoch)
            if checkpoint is not None and checkpoint.due:
                fit.save(checkpoint, fit.seconds_before + time.perf_counter() - started)
            if on_epoch is not None:
                on_epoch(epoch, planned)
    net.load_state_dict(fit.kept or fit.measured.state_dict())
    net.cpu().eval()
    return TrainingResult(
        history=tuple(fit.history),
        kept_epoch=fit.kept_epoch,
        precision=fit.precision,
        device=str(device),
        seconds=time.perf_counter() - started,
        seconds_before=fit.seconds_before,
    )


def begin(
    net: nn.Module,
    images: Images,
    labels: Tensor,
    recipe: Recipe,
    device: torch.device,
    seed: int,
    mirror_keeps_class: bool,
    group: Group = ALONE,
) -> Fit:
    """Set a training up, with the network and the training data on the device."""
    _refuse_single_images(net, len(images), recipe.batch_size)
    keep_freed_memory()
    if callable(fit_constants := getattr(net, "fit_constants", None)):
        fit_constants(_in_memory(images))
    net.to(device)
    if isinstance(images, Tensor):
        images = images.to(device)
    return Fit(net, images, labels.to(device), recipe, device, seed, mirror_keeps_class, group)


def _refuse_single_images(net: nn.Module, n: int, batch_size: int) -> None:
    normalizes = any(isinstance(module, nn.BatchNorm1d) for module in net.modules())
    if normalizes and min(n, batch_size) < 2:
        raise UsageError(
            f"batch norm needs at least 2 images per batch, but batch_size is {batch_size} and the "
            f"number of training images {n}; give at least 2 of both."
        )


@contextmanager
def resumable(fit: Fit, seed: int) -> Iterator[None]:
    """The best number of threads for a training, and its own random state."""
    with (
        torch.random.fork_rng(devices=[fit.device] if fit.device.type == "cuda" else []),
        precision.threads(fit.net, fit.recipe.batch_size),
    ):
        torch.manual_seed(seed)  # dropout draws from the global generator
        yield


def _run_epoch(fit: Fit, validation: tuple[Images, Tensor] | None) -> Epoch:
    """Train the next epoch, evaluate it and check that its figures are finite."""
    number = len(fit.history) + 1
    fit.group.seed_epoch(fit.seed, number)
    started = time.perf_counter()
    train_loss, train_accuracy = _train_epoch(fit, number)
    loss, accuracy = (
        fit.group.broadcast_figures(_measure(fit, validation)) if validation else (None, None)
    )
    epoch = Epoch(
        epoch=number,
        learning_rate=learning_rate(fit.recipe, number, 0.0),
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        validation_loss=loss,
        validation_accuracy=accuracy,
        seconds=time.perf_counter() - started,
    )
    _refuse_not_finite(epoch, fit.measured)
    return epoch


def _train_epoch(fit: Fit, number: int) -> tuple[float, float]:
    """Train on all images once, in a new order; returns their mean loss and accuracy."""
    n, done = len(fit.images), 0
    mean_loss = mean_accuracy = 0.0
    fit.net.train()
    for stretch in shuffled_stretches(fit.images, fit.labels, fit.recipe.batch_size, fit.generator):
        share = len(stretch.labels) / n
        loss, accuracy = _train_stretch(fit, number, stretch, done)
        mean_loss, mean_accuracy = mean_loss + loss * share, mean_accuracy + accuracy * share
        done += len(stretch.labels)
    fit.write_weights()
    return mean_loss, mean_accuracy


def _train_stretch(fit: Fit, number: int, stretch: Stretch, done: int) -> tuple[float, float]:
    """Train on a stretch after ``done`` images of its epoch; returns mean loss and accuracy."""
    n, labels = len(fit.images), stretch.labels
    logits: Tensor | None = None  # (m, classes); evaluated once, after the last step
    mixtures: list[Mixture] = []
    for start, stop in batches(len(labels), fit.recipe.batch_size):
        rate = learning_rate(fit.recipe, number, (done + start) / n)
        of_batch, mixture = train_batch(fit, number, stretch, start, stop, rate)
        if mixture is not None:
            mixtures.append(mixture)
        logits = _insert(logits, of_batch, start, len(labels))
    assert logits is not None, "there are images"
    loss = fit.loss(logits, labels, Mixture.concatenate(mixtures) if mixtures else None)
    return float(loss), _accuracy(logits, labels)


def train_batch(
    fit: Fit, epoch: int, stretch: Stretch, start: int, stop: int, rate: float
) -> tuple[Tensor, Mixture | None]:
    """Take one step; returns the logits (batch, classes) before it, and the mixture, if any."""
    batch = Batch(
        images=to_unit(stretch.images[start:stop]),
        positions=stretch.positions[start:stop],
        epoch=epoch,
        mirror_keeps_class=fit.mirror_keeps_class,
        generator=fit.generator,
    )
    augmented, mixture = fit.augment(batch), None
    if fit.mix is not None:
        augmented, mixture = fit.mix(dataclasses.replace(batch, images=augmented))
    logits = fit.step(_channel_last(augmented[:, 0]), stretch.labels[start:stop], rate, mixture)
    if fit.average is not None:
        fit.write_weights()
        fit.average.update()
    return logits, mixture


def _in_memory(images: Images) -> Tensor:
    """The images that a network may fit its constants on."""
    if isinstance(images, Tensor):
        return images
    return torch.from_numpy(images[: max(1, BUFFER // images.row_bytes)])


def _measure(fit: Fit, validation: tuple[Images, Tensor]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on the validation images."""
    images, labels = validation
    # PyTorch's dense layers gain nothing from bfloat16: see `precision.resolve`.
    number_format = fit.precision if precision.convolves(fit.net) else "float32"
    logits = _logits(fit.measured, images, fit.device, number_format)
    labels = labels.to(fit.device)
    return float(F.cross_entropy(logits, labels)), _accuracy(logits, labels)


def predict(net: nn.Module, images: Images, *, device: str = "cpu") -> Tensor:
    """Predict class probabilities, in float32 whatever the precision of the training.

    Parameters
    ----------
    net : module from float32 (batch, 1, height, width) in 0..1 to logits; set to eval mode
    images : (n, height, width) pixels in 0..255: uint8 or float32, or rows of a memory map

    Returns
    -------
    float32 (n, classes), on the CPU
    """
    target = precision.resolve_device(device)
    return _logits(net.to(target), images, target, "float32").softmax(dim=1).cpu()


def to_unit(images: Tensor) -> Tensor:
    """Scale pixels (batch, height, width) in 0..255 to float32 (batch, 1, height, width) 0..1."""
    return _channel_last(images).float() / 255


def _channel_last(images: Tensor) -> Tensor:
    """Images (batch, height, width) as (batch, 1, height, width) with channels-last strides.

    The first convolution's output, and so every map after it, is then channels-last: much faster on
    CPUs, in either precision, and on GPUs in bfloat16.
    """
    return images[..., None].permute(0, 3, 1, 2)


@torch.inference_mode()
def _logits(net: nn.Module, images: Images, device: torch.device, number_format: str) -> Tensor:
    net.eval()
    logits: Tensor | None = None
    _, height, width = images.shape
    at_once = max(1, min(PREDICTION_BATCH, PREDICTION_PIXELS // (height * width)))
    with precision.autocast(number_format, device):
        for start in range(0, len(images), at_once):
            pixels = torch.as_tensor(images[start : start + at_once], device=device)
            logits = _insert(logits, net(to_unit(pixels)).float(), start, len(images))
    assert logits is not None, "there are images"
    return logits


def _insert(target: Tensor | None, part: Tensor, start: int, n: int) -> Tensor:
    """Write a part into ``target`` (n, ...), which is created by the first.

    Parts kept until the end would fragment the heap between the large tensors that are freed
    meanwhile, by a gigabyte over hundreds of batches.
    """
    if len(part) == n:
        return part
    if target is None:
        target = part.new_empty(n, *part.shape[1:])
    target[start : start + len(part)] = part
    return target


def batches(n: int, size: int) -> list[tuple[int, int]]:
    """Bounds of successive batches.

    A last batch of a single image joins the one before: batch norm can't normalise one image.
    """
    stops = [*range(size, n, size), n]
    if len(stops) > 1 and n - stops[-2] == 1:
        del stops[-2]
    return list(zip([0, *stops], stops, strict=False))


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(dim=1) == labels).float().mean())


def _refuse_not_finite(epoch: Epoch, net: nn.Module) -> None:
    # The weights are checked too: the last step of an epoch doesn't show in the training loss.
    weights = torch.stack([weight.detach().sum() for weight in net.parameters()]).sum().item()
    for name, figure in (
        ("training loss", epoch.train_loss),
        ("validation loss", epoch.validation_loss),
        ("sum of the weights", weights),
    ):
        if figure is not None and not math.isfinite(figure):
            raise NotFiniteError(
                f"the {name} became {figure} in epoch {epoch.epoch}; a learning rate lower than "
                f"{epoch.learning_rate:g} usually helps."
            )
