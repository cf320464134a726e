from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.data.dataset import Dataset
from fittingroom.errors import NotFiniteError, UsageError
from fittingroom.nets.cnn import CNN, NormalizedCNN
from fittingroom.nets.mlp import MLP
from fittingroom.nets.wide_resnet import WideResNet
from fittingroom.training.augment import AUGMENTATIONS
from fittingroom.training.epoch import Epoch
from fittingroom.training.fit import Fit, best_epoch
from fittingroom.training.loop import (
    TrainingResult,
    _train_epoch,
    batches,
    predict,
    to_unit,
    train,
)
from fittingroom.training.recipe import AugmentationName, Recipe

Data = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def images(small: Dataset) -> Data:
    """400 real images in the order of the files, with classes mixed."""
    pixels, labels = small.train.images[:400], small.train.labels[:400]
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels.copy()).long()


@pytest.fixture(scope="module")
def validation(small: Dataset) -> Data:
    pixels, labels = small.train.images[400:600], small.train.labels[400:600]
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels.copy()).long()


def small_net(seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return MLP(hidden=(16,), **options)  # type: ignore[arg-type]


def weights(net: nn.Module) -> Tensor:
    return torch.cat([w.flatten() for w in net.state_dict().values()])


def epoch(number: int, loss: float | None, accuracy: float | None) -> Epoch:
    return Epoch(
        epoch=number,
        learning_rate=1,
        train_loss=1,
        train_accuracy=1,
        validation_loss=loss,
        validation_accuracy=accuracy,
        seconds=1,
    )


def test_a_step_is_the_textbooks(images: Data) -> None:
    """One epoch of plain SGD against the same computation by hand."""
    X, y = images
    net, by_hand = small_net(), small_net()
    recipe = Recipe(
        optimizer="sgd", learning_rate=0.1, epochs=1, batch_size=150, precision="float32"
    )
    result = train(net, X, y, recipe, seed=7)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(7))
    losses, right = 0.0, 0
    for part in torch.split(order, 150):
        logits = by_hand(X[part].unsqueeze(1) / 255)
        loss = F.cross_entropy(logits, y[part])
        losses += loss.item() * len(part)
        right += int((logits.argmax(1) == y[part]).sum())
        by_hand.zero_grad()
        torch.autograd.backward(loss)
        with torch.no_grad():
            for weight in by_hand.parameters():
                assert weight.grad is not None
                weight.sub_(0.1 * weight.grad)
    torch.testing.assert_close(weights(net), weights(by_hand))
    assert result.history[0].train_loss == pytest.approx(losses / 400, rel=1e-5)
    assert result.history[0].train_accuracy == pytest.approx(right / 400)


def test_learns_real_images(images: Data, validation: Data) -> None:
    net = CNN(features=(16, "pool"), hidden=())
    result = train(net, *images, Recipe(epochs=8), validation=validation)
    assert result.history[-1].validation_accuracy > 0.65  # type: ignore[operator]
    assert result.history[-1].train_loss < result.history[0].train_loss / 2


def test_learns_from_mixed_images(images: Data, validation: Data) -> None:
    torch.manual_seed(0)
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        schedule="cosine",
        epochs=8,
        batch_size=32,
        label_smoothing=0.1,
        augmentation="crop-erase-mix",
        averaging=0.9,
        precision="bfloat16",
    )
    result = train(
        WideResNet(depth=10, width=1),
        *images,
        recipe,
        validation=validation,
        mirror_keeps_class=True,
    )
    assert result.history[-1].validation_accuracy > 0.4  # type: ignore[operator]
    assert result.history[-1].train_loss < result.history[0].train_loss


@pytest.mark.parametrize("loss", ["sparse", "onehot"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_mixed_batch_has_the_loss_of_both_labels(
    images: Data, loss: str, smoothing: float
) -> None:
    """Before any step, over batches of several sizes, against sums by hand."""
    X, y = images
    recipe = Recipe(
        loss=loss,  # type: ignore[arg-type]
        label_smoothing=smoothing,
        optimizer="sgd",
        learning_rate=1e-30,
        epochs=1,
        batch_size=150,
        augmentation="crop-erase-mix",
    )
    net = small_net()
    fit = Fit(net, X, y, recipe, torch.device("cpu"), 7, False)
    seen = []

    def step(images: Tensor, labels: Tensor, _: float, mixture: object) -> Tensor:
        seen.append((images, labels, mixture))
        return net(images).detach()  # type: ignore[no-any-return]

    fit.step = step  # type: ignore[assignment]
    train_loss, train_accuracy = _train_epoch(fit, 1)
    losses, right = 0.0, 0
    for pixels, labels, mixture in seen:
        logits = net(pixels).detach()
        for share, target in (
            (1 - mixture.shares, labels),  # type: ignore[attr-defined]
            (mixture.shares, labels[mixture.partners]),  # type: ignore[attr-defined]
        ):
            loss_of = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
            losses += float((share * loss_of).sum())
        right += int((logits.argmax(1) == labels).sum())
    assert train_loss == pytest.approx(losses / 400, rel=1e-5)
    assert train_accuracy == pytest.approx(right / 400)


#: Except those that read the images on the CPU.
ON_ANY_DEVICE = [name for name in AUGMENTATIONS if name != "photo"]


@pytest.mark.parametrize("augmentation", ON_ANY_DEVICE)
def test_no_value_is_read_before_an_epochs_last_step(
    augmentation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would block on the GPU. Tensors on `meta` have no values: reading one raises."""
    monkeypatch.setattr("fittingroom.training.precision.autocast", lambda *_: nullcontext())
    meta = torch.device("meta")
    recipe = Recipe(
        epochs=1,
        batch_size=100,
        label_smoothing=0.1,
        averaging=0.9,
        augmentation=augmentation,  # type: ignore[arg-type]
    )
    X, y = torch.zeros(400, 28, 28, dtype=torch.uint8), torch.zeros(400, dtype=torch.int64)
    net = NormalizedCNN().to(meta)
    fit = Fit(net, X.to(meta), y.to(meta), recipe, meta, 0, True)
    assert fit.average is not None
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta"):
        _train_epoch(fit, 1)
    assert fit.average.steps == 4


def test_the_history_records_every_epoch(images: Data, validation: Data) -> None:
    net, calls = small_net(), []
    recipe = Recipe(epochs=3, schedule="one-cycle", warmup=0.5, precision="float32")
    result = train(
        net, *images, recipe, validation=validation, on_epoch=lambda *call: calls.append(call)
    )
    assert [e.epoch for e in result.history] == [1, 2, 3]
    assert calls == [(e, 3) for e in result.history]
    assert result.history[0].learning_rate == 0
    assert result.history[1].learning_rate == pytest.approx(2 / 3 * 1e-3)
    assert all(e.seconds > 0 for e in result.history)
    assert (result.kept_epoch, result.precision, result.device) == (3, "float32", "cpu")
    X, y = validation
    probabilities = predict(net, X)
    last = result.history[-1]
    assert last.validation_accuracy == pytest.approx(
        float((probabilities.argmax(1) == y).float().mean())
    )
    assert last.validation_loss == pytest.approx(
        float(F.nll_loss(probabilities.log(), y)), rel=1e-4
    )


def test_no_validation_leaves_its_columns_empty(images: Data) -> None:
    result = train(small_net(), *images, Recipe(epochs=1))
    assert result.history[0].validation_loss is None
    assert result.history[0].validation_accuracy is None


def test_the_same_seed_gives_the_same_weights(images: Data) -> None:
    recipe = Recipe(epochs=2, augmentation="crop-flip")
    trained = []
    for seed in (3, 3, 4):
        torch.manual_seed(0)
        net = NormalizedCNN(channels=(2, 2), hidden=(4,))  # with dropout
        train(net, *images, recipe, seed=seed, mirror_keeps_class=True)
        trained.append(weights(net))
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


def test_the_global_generator_is_left_alone(images: Data) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(small_net(), *images, Recipe(epochs=1), seed=1)
    torch.manual_seed(5)
    net = NormalizedCNN(channels=(2, 2), hidden=(4,))
    state = torch.get_rng_state()
    train(net, *images, Recipe(epochs=1), seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_both_forms_of_the_loss_are_the_same_function(images: Data, smoothing: float) -> None:
    nets = small_net(), small_net()
    for net, loss in zip(nets, ("sparse", "onehot"), strict=True):
        recipe = Recipe(
            loss=loss,  # type: ignore[arg-type]
            label_smoothing=smoothing,
            optimizer="sgd",
            learning_rate=0.1,
            epochs=1,
        )
        train(net, *images, recipe)
    torch.testing.assert_close(weights(nets[0]), weights(nets[1]), rtol=1e-4, atol=1e-6)


def weights_kept(
    images: Data, validation: Data | None, **fields: object
) -> tuple[Tensor, TrainingResult]:
    net = small_net()
    recipe = Recipe(epochs=12, learning_rate=0.03, **fields)  # type: ignore[arg-type]
    result = train(net, *images, recipe, validation=validation, seed=2)
    return weights(net), result


@pytest.mark.parametrize("quantity", ["accuracy", "loss"])
def test_the_best_epochs_weights_are_kept(images: Data, validation: Data, quantity: str) -> None:
    best, result = weights_kept(images, validation, keep=f"best-{quantity}")
    assert len(result.history) == 12
    assert result.kept_epoch == best_epoch(result.history, quantity)  # type: ignore[arg-type]
    assert result.kept_epoch < 12, "the test would be empty if the last epoch were the best"
    # A schedule stopped there has the same weights: this is how a refit uses the chosen epoch.
    again, _ = weights_kept(images, None, stop_at=result.kept_epoch)
    assert torch.equal(best, again)


def test_patience_stops_and_restores(images: Data, validation: Data) -> None:
    full_history = weights_kept(images, validation)[1].history
    last, stopped = weights_kept(images, validation, patience=2)
    best = stopped.history[-1].epoch - 2
    assert stopped.history[-1].epoch < 12
    assert best == best_epoch(full_history[: best + 2], "loss")
    assert stopped.kept_epoch == best + 2
    restored, result = weights_kept(images, validation, patience=2, restore=True)
    assert result.kept_epoch == best
    assert not torch.equal(restored, last)
    assert torch.equal(restored, weights_kept(images, None, stop_at=best)[0])


def test_choosing_needs_validation_images(images: Data) -> None:
    with pytest.raises(UsageError, match="pass validation="):
        weights_kept(images, None, keep="best-loss")


def test_best_epoch_is_the_first_if_several_tie() -> None:
    history = [epoch(1, 0.5, 0.8), epoch(2, 0.4, 0.9), epoch(3, 0.4, 0.9), epoch(4, 0.6, 0.7)]
    assert best_epoch(history, "loss") == best_epoch(history, "accuracy") == 2


def test_a_loss_that_explodes_is_reported_with_its_epoch(images: Data) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=1e30, epochs=5)
    with pytest.raises(NotFiniteError, match=r"loss became (nan|inf) in epoch 1; a learning rate"):
        train(small_net(), *images, recipe)


def test_weights_that_explode_in_the_last_step_are_detected(images: Data) -> None:
    X, y = images
    recipe = Recipe(optimizer="sgd", learning_rate=1e38, momentum=0.9, epochs=1, batch_size=400)
    with pytest.raises(NotFiniteError, match="in epoch 1"):
        train(small_net(), X, y, recipe)  # one step: its loss is still finite


def test_averaging_keeps_the_averaged_weights(images: Data, validation: Data) -> None:
    plain, averaged = small_net(), small_net()
    train(plain, *images, Recipe(epochs=2))
    result = train(averaged, *images, Recipe(epochs=2, averaging=0.9), validation=validation)
    assert not torch.equal(weights(plain), weights(averaged))
    X, y = validation
    accuracy = float((predict(averaged, X).argmax(1) == y).float().mean())
    assert result.history[-1].validation_accuracy == pytest.approx(accuracy)


def test_bfloat16_trains_like_float32_and_leaves_float32_weights(
    images: Data, validation: Data
) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        net = CNN(features=(8, "pool"), hidden=(16,))
        recipe = Recipe(epochs=2, precision=precision)
        result = train(net, *images, recipe, validation=validation)
        assert result.precision == precision
        assert {w.dtype for w in net.state_dict().values()} == {torch.float32}
        losses.append(result.history[-1].validation_loss)
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize(("side", "at_once"), [(4, 500), (64, 500), (224, 41), (2000, 1)])
def test_fewer_large_images_are_predicted_at_once(side: int, at_once: int) -> None:
    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return x.new_zeros(len(x), 2)

    seen: list[int] = []
    n = at_once + 2
    assert predict(Counting(), torch.zeros(1, side, side).expand(n, side, side)).shape == (n, 2)
    assert seen[0] == at_once
    assert sum(seen) == n


def test_predictions_are_float32_whatever_the_batch(images: Data) -> None:
    net = CNN(features=(8, "pool"), hidden=(16,)).train()
    X = images[0].repeat(2, 1, 1)[:701]
    probabilities = predict(net, X)
    assert probabilities.dtype == torch.float32
    assert not probabilities.requires_grad
    torch.testing.assert_close(probabilities.sum(1), torch.ones(701))
    torch.testing.assert_close(predict(net, X[650:]), probabilities[650:])


def test_a_network_fits_its_constants_first(images: Data) -> None:
    class Centred(MLP):
        def fit_constants(self, images: Tensor) -> None:
            self.seen = images.clone()

    net = Centred(hidden=(4,))
    train(net, *images, Recipe(epochs=1))
    assert torch.equal(net.seen, images[0])


def test_a_single_last_image_joins_the_batch_before(images: Data) -> None:
    assert batches(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert batches(9, 4) == [(0, 4), (4, 9)]
    assert batches(8, 4) == [(0, 4), (4, 8)]
    assert batches(3, 4) == [(0, 3)]
    assert batches(1, 4) == [(0, 1)]
    assert batches(3, 1) == [(0, 1), (1, 3)]
    X, y = images
    net = NormalizedCNN(channels=(2, 2), hidden=(4,))  # batch norm refuses a batch of one
    train(net, X[:33], y[:33], Recipe(epochs=1, batch_size=32))


def test_pixels_become_unit_floats_with_channels_last_strides() -> None:
    pixels = torch.tensor([[[0, 51, 255], [1, 2, 3]]], dtype=torch.uint8)
    x = to_unit(pixels)
    assert x.shape == (1, 1, 2, 3)
    torch.testing.assert_close(x[0, 0, 0], torch.tensor([0, 0.2, 1]))
    assert torch.equal(to_unit(pixels.float()), x)
    assert nn.Conv2d(1, 4, 1)(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_maps_and_their_gradients_are_channels_last(
    images: Data, augmentation: AugmentationName
) -> None:
    """A copy from one layout to the other costs as much as a convolution."""
    net = NormalizedCNN()
    strides: set[tuple[str, int]] = set()

    def note(layer: nn.Module, _: object, maps: Any) -> None:
        strides.add((type(layer).__name__, maps.stride(1)))
        maps.register_hook(lambda grad: strides.add((type(layer).__name__, grad.stride(1))))

    for layer in net.features:
        layer.register_forward_hook(note)
    X, y = images
    train(net, X[:64], y[:64], Recipe(epochs=1, augmentation=augmentation))
    assert {stride for _, stride in strides} == {1}, strides


def test_the_inputs_are_not_changed(images: Data) -> None:
    X, y = copy.deepcopy(images)
    floats = X.float()
    train(small_net(), floats, y, Recipe(epochs=1, augmentation="crop-flip"))
    predict(small_net(), floats)
    assert torch.equal(floats, images[0].float())
    assert math.isclose(float(floats.max()), 255)
