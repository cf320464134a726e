"""Imitated photos: training images changed to look like photos that somebody might take.

In a photo the garment lies flat with its sleeves spread, it is rotated, crumpled and wider than on
a model, of any fabric, and cut out of its background with errors. Some images are spoilt on
purpose: half a garment isn't one, and a network learns to be undecided about it (Hendrycks, Mazeika
and Dietterich 2019, "Deep Anomaly Detection with Outlier Exposure").

Images are bright on black, in 0..1. Lengths are in pixels of a 28 × 28 image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fittingroom.errors import InputError
from fittingroom.kernels.compiled import compiled, compiled_within, in_parts

Image = NDArray[np.float32]

#: The share of imitated images that are spoilt.
SPOILT = 0.2
#: The share of garments with sleeves that have them spread, and the largest angle, in radians.
SPREAD, WIDEST = 0.6, 1.6
#: Mean and standard deviation of the logarithm of the width relative to the original.
WIDER, WIDTH_VARIES = 0.1, 0.25
TURN, TRAPEZOID, SMALLER, SHIFT, BEND = 0.1, 0.15, 0.08, 0.8, 1.0
#: The shares of images that keep the fabric's shade, have a print, stripes, a ragged outline, a
#: hole in the cut-out, or some background left in it.
OWN_SHADE, PRINTED, STRIPED, RAGGED, HOLED, LITTERED = 0.6, 0.18, 0.12, 0.35, 0.07, 0.07
SPOTS, GRAIN, MAX_FOLDS = 0.1, 0.02, 5
DARKEST = 0.02


#: The least number of pixels per side.
SMALLEST = 8


def imitate_photos(
    images: Tensor, *, mirror: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Make images look like photos of the same things; also returns which ones are spoilt.

    Parameters
    ----------
    images : float32 (n, 1, height, width) in 0..1, at least 8 pixels per side
    mirror : whether a mirrored image keeps its class
    generator : on the CPU; the same state gives the same photos with any number of threads

    Returns
    -------
    images of the same shape, and bool (n,): True if an image no longer shows its class

    Raises
    ------
    InputError : the images are smaller
    """
    height, width = images.shape[2:]
    if min(height, width) < SMALLEST:
        raise InputError(
            f"augmentation 'photo' needs images of at least {SMALLEST} pixels per side, not "
            f"{height}×{width}; use another augmentation."
        )
    pixels = np.ascontiguousarray(images[:, 0].cpu().numpy())
    seeds = torch.randint(2**31, (len(pixels),), generator=generator).numpy()
    photos, spoilt = np.empty_like(pixels), np.zeros(len(pixels), np.bool_)
    in_parts(_imitate, len(pixels), 100 * pixels.size, pixels, seeds, mirror, photos, spoilt)
    device = images.device
    return torch.from_numpy(photos)[:, None].to(device), torch.from_numpy(spoilt).to(device)


@compiled
def _imitate(
    start: int,
    stop: int,
    _part: int,
    images: Any,
    seeds: Any,
    mirror: bool,
    photos: Any,
    spoilt: Any,
) -> None:
    height, width = images.shape[1:]
    mask, worn = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    outline = np.empty((height, width), np.float32)
    for i in range(start, stop):
        np.random.seed(seeds[i])
        _silhouette(images[i], mask)
        quarter = False
        if np.random.random() < SPOILT:
            spoilt[i] = True
            quarter = _spoil(mask)
        figure = images[i] * mask
        if mask.sum() < 4:  # the image is nearly empty, or hardly anything is left
            photos[i] = figure
            continue
        _shape(figure, mask, mirror, quarter, not spoilt[i], worn, outline)
        shade = figure.sum() / mask.sum()
        _dye(worn, outline, shade, photos[i])


@compiled_within
def _silhouette(image: Any, mask: Any) -> None:
    """Set the mask to 1 on the object: what isn't black, small gaps closed and holes filled."""
    height, width = image.shape
    near = np.zeros((height + 2, width + 2), np.bool_)  # with a border around the image
    for y in range(height + 2):
        for x in range(width + 2):
            near[y, x] = image[max(0, y - 2) : y + 1, max(0, x - 2) : x + 1].max() > 0.03
    mask[:] = 0
    top, bottom = np.full(width, height), np.full(width, -1)
    for y in range(height):
        for x in range(width):
            if near[y : y + 3, x : x + 3].all():
                mask[y, x] = 1
                top[x], bottom[x] = min(top[x], y), y
    for y in range(height):
        left, right = width, -1
        for x in range(width):
            if mask[y, x] > 0:
                left, right = min(left, x), x
        for x in range(left, right + 1):
            if top[x] <= y <= bottom[x]:
                mask[y, x] = 1


@compiled_within
def _box(mask: Any) -> Any:
    """First and last row, first and last column of a mask."""
    height, width = mask.shape
    top, bottom, left, right = height, -1, width, -1
    for y in range(height):
        for x in range(width):
            if mask[y, x] > 0:
                top, bottom = min(top, y), y
                left, right = min(left, x), max(right, x)
    return top, bottom, left, right


@compiled_within
def _spoil(mask: Any) -> bool:
    """Cut a part off; returns True if the object is to be laid on its side instead.

    The upper part of something with two legs looks like shorts, the lower part of something else
    like a skirt; half of anything, cut at any angle, is something without a name.
    """
    height, width = mask.shape
    top, bottom, left, right = _box(mask)
    tall, wide = bottom - top + 1, right - left + 1
    with_legs = 0
    middle = width // 2
    for y in range(height // 2, height):
        gap = mask[y, middle - 1] == 0 or mask[y, middle] == 0
        with_legs += gap and mask[y, : middle - 1].sum() > 2 and mask[y, middle + 1 :].sum() > 2
    legs = tall >= 0.78 * height and wide < 0.7 * width and with_legs >= 4
    chance, share = np.random.random(), np.random.uniform(0.35, 0.6)
    if legs and chance < 0.8:
        mask[int(top + tall * share) + 1 :] = 0
    elif tall >= 0.78 * height and not legs and chance < 0.45:
        mask[: int(bottom - tall * share) + 1] = 0
    elif tall > 1.3 * wide and chance < 0.65:
        return True
    else:
        angle = np.random.uniform(0, 2 * math.pi)
        for y in range(height):
            for x in range(width):
                across, down = x - (left + right) / 2, y - (top + bottom) / 2
                if math.cos(angle) * across + math.sin(angle) * down < 0:
                    mask[y, x] = 0
    return False


@compiled_within
def _sleeves(figure: Any, mask: Any) -> Any:
    """Where sleeves begin and end, if there seem to be any.

    Returns
    -------
    distance of the shoulders from the middle column, infinite if there are no sleeves; the
    shoulders' row; how many rows below it the sleeves end

    A body narrower than the whole garment has short sleeves beside it. If it is as wide, long
    sleeves hang at its sides, and often a dark line shows where.
    """
    height, width = mask.shape
    unit = height / 28
    top, bottom, left, right = _box(mask)
    tall, wide = bottom - top + 1, right - left + 1
    body = mask[int(15 * unit) : int(22 * unit)].sum() / (int(22 * unit) - int(15 * unit))
    row = top + unit * np.random.uniform(3, 6)
    if wide < 16 * unit or tall < 22 * unit or np.random.random() >= SPREAD:
        return math.inf, row, 0.0
    if body < 0.88 * wide:
        return body / 2, row, unit * np.random.uniform(8, 11)
    rows = figure[int(15 * unit) : int(25 * unit)]
    darkest, at = math.inf, 0
    for x in range(width // 2):
        if 0.35 < (x + 0.5) / (wide / 2) < 0.85:
            light = (rows[:, width // 2 + x].mean() + rows[:, width // 2 - 1 - x].mean()) / 2
            if light < darkest:
                darkest, at = light, x
    gap = darkest / (figure.sum() / mask.sum())
    return at + 0.5 if gap < 0.7 else wide * np.random.uniform(0.25, 0.35), row, math.inf


@compiled_within
def _shape(
    figure: Any, mask: Any, mirror: bool, quarter: bool, sleeved: bool, worn: Any, outline: Any
) -> None:
    """Spread the figure's sleeves, bend and rotate it, and fit it into the image again."""
    height, width = mask.shape
    unit, middle = height / 28, (width - 1) / 2
    shoulder, row, reach = math.inf, 0.0, 0.0
    if sleeved:
        shoulder, row, reach = _sleeves(figure, mask)
    spread, thick = np.random.uniform(0, WIDEST), np.random.uniform(0.9, 1.5)
    angles = (
        max(-0.05, spread + 0.15 * np.random.normal()),
        max(-0.05, spread + 0.15 * np.random.normal()),
    )
    top, bottom, left, right = _extent(mask, shoulder, row, reach, angles)
    wider = math.exp(WIDER + WIDTH_VARIES * np.random.normal())
    step = max((right - left + 1) * wider / width, (bottom - top + 1) / height)
    step *= 1 + SMALLER * np.random.random()
    turn = TURN * np.random.normal() + (math.pi / 2 if quarter else 0.0)
    trapezoid = TRAPEZOID * np.random.normal() / (height / 2)
    off = SHIFT * unit * np.random.uniform(-1, 1), SHIFT * unit * np.random.uniform(-1, 1)
    bends = BEND * unit * np.random.random(), BEND * unit * np.random.random()
    bent = _noise(4), _noise(4)
    flip = -1.0 if mirror and np.random.random() < 0.5 else 1.0
    for y in range(height):
        for x in range(width):
            # From a pixel of the photo back to its source in the figure.
            across, down = x - middle + off[0], y - (height - 1) / 2 + off[1]
            across, down = (
                math.cos(turn) * across - math.sin(turn) * down,
                math.sin(turn) * across + math.cos(turn) * down,
            )
            across *= 1 - trapezoid * down
            across += bends[0] * _smooth(bent[0], y / height, x / width)
            down += bends[1] * _smooth(bent[1], y / height, x / width)
            across = flip * across * step / wider + (left + right) / 2
            down = down * step + (top + bottom) / 2
            value = there = 0.0
            if abs(across) <= shoulder or down - row > reach:
                value = _bilinear(figure, down, across + middle)
                there = _bilinear(mask, down, across + middle)
            if shoulder < math.inf:
                for side in range(2):
                    sign = 1.0 if side == 0 else -1.0
                    out, below = sign * across - shoulder, down - row
                    turned = math.cos(angles[side]) * out - math.sin(angles[side]) * below
                    turned /= thick
                    length = math.sin(angles[side]) * out + math.cos(angles[side]) * below
                    if turned > -0.5 and out > -1.5 and length < reach:
                        place = length + row, sign * (turned + shoulder) + middle
                        value += _bilinear(figure, place[0], place[1]) * (1 - there)
                        there = max(there, _bilinear(mask, place[0], place[1]))
            worn[y, x], outline[y, x] = value, there


@compiled_within
def _extent(mask: Any, shoulder: float, row: float, reach: float, angles: Any) -> Any:
    """The rows, and the columns from the middle, that the figure spans with its sleeves spread."""
    height, width = mask.shape
    top, bottom, left, right = math.inf, -math.inf, math.inf, -math.inf
    for y in range(height):
        for x in range(width):
            if mask[y, x] > 0:
                across, down = x - (width - 1) / 2, float(y)
                out, below = abs(across) - shoulder, y - row
                if out > 0 and -1 < below < reach:
                    sign, angle = (1.0, angles[0]) if across > 0 else (-1.0, angles[1])
                    turned = math.cos(angle) * out + math.sin(angle) * below
                    across = sign * (shoulder + turned)
                    down = row - math.sin(angle) * out + math.cos(angle) * below
                top, bottom = min(top, down), max(bottom, down)
                left, right = min(left, across), max(right, across)
    return top, bottom, left, right


@compiled_within
def _dye(worn: Any, outline: Any, shade: float, photo: Any) -> None:
    """Give the figure another fabric, folds, lighting and the outline of a cut-out.

    Parameters
    ----------
    worn : brightness times outline
    outline : share of each pixel that the figure covers
    shade : mean brightness of the original
    """
    height, width = worn.shape
    own = np.random.random() < OWN_SHADE
    base = shade if own else np.random.uniform(0.1, 0.95)
    contrast = np.random.uniform(0.7, 1.2) if own else np.random.uniform(0, 1.3)
    printed = np.random.uniform(0.3, 2) if np.random.random() < PRINTED else math.inf
    dye, prints = np.random.random(), _noise(5)
    stripes = np.random.uniform(0, 0.45) if np.random.random() < STRIPED else 0.0
    angle = 0.0 if np.random.random() < 0.6 else np.random.uniform(0, math.pi)
    often, phase = np.random.uniform(3, 14) * math.pi / 2, np.random.uniform(0, 2 * math.pi)
    spotted, spots = np.random.uniform(0, SPOTS), _noise(7)
    light = np.random.uniform(-0.12, 0.12), np.random.uniform(-0.12, 0.12)
    grain = np.random.uniform(0, GRAIN)
    folds = np.random.normal(0, 1, (np.random.randint(0, MAX_FOLDS + 1), 5))
    ragged = np.random.uniform(0, 0.3) if np.random.random() < RAGGED else 0.0
    holes = np.random.uniform(1.6, 3) if np.random.random() < HOLED else math.inf
    litter = np.random.uniform(1.6, 3) if np.random.random() < LITTERED else math.inf
    rag, hole, lump, stuff = _noise(9), _noise(6), _noise(6), np.random.uniform(0.05, 0.9)
    for y in range(height):
        for x in range(width):
            v, h = y / height, x / width
            down, across = 2 * v - 1 + 1 / height, 2 * h - 1 + 1 / width
            around = outline[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].sum() / 9
            there = (outline[y, x] + around) / 2 + ragged * _smooth(rag, v, h)
            there = min(1.0, max(0.0, 4 * there - 1.5))
            if holes < math.inf and _smooth(hole, v, h) > holes:
                there = 0.0
            value = base
            if outline[y, x] > 0.02:
                value += contrast * (worn[y, x] / max(outline[y, x], 0.25) - shade)
            if printed < math.inf and _smooth(prints, v, h) > printed:
                value = dye
            along = math.cos(angle) * down + math.sin(angle) * across
            value += stripes * math.sin(often * along + phase)
            value += spotted * _smooth(spots, v, h) + light[0] * down + light[1] * across
            value += grain * np.random.normal()
            for k in range(len(folds)):
                value += _fold(folds[k], down, across)
            photo[y, x] = min(1.0, max(DARKEST, value)) * there
            if litter < math.inf and there < 0.5 and _smooth(lump, v, h) > litter:
                photo[y, x] = stuff


@compiled_within
def _fold(fold: Any, down: float, across: float) -> Any:
    """The brightness that a fold adds: a short blurred line, with one side possibly in shadow."""
    angle, middle_across, middle_down, height, one_sided = fold
    across, down = across - 0.5 * middle_across, down - 0.5 * middle_down
    beside = (math.cos(3 * angle) * across + math.sin(3 * angle) * down) / 0.07
    along = (math.cos(3 * angle) * down - math.sin(3 * angle) * across) / 0.45
    far = beside**2 + along**2
    if far > 8:
        return 0.0
    return 0.12 * height * math.exp(-far / 2) * (beside if one_sided > 0 else 1.0)


@compiled_within
def _noise(cells: int) -> Any:
    return np.random.normal(0, 1, (cells, cells))


@compiled_within
def _smooth(noise: Any, down: float, across: float) -> Any:
    """Noise interpolated between the points of its grid; coordinates in 0..1."""
    last = len(noise) - 1
    y, x = min(int(down * last), last - 1), min(int(across * last), last - 1)
    v, h = down * last - y, across * last - x
    v, h = v * v * (3 - 2 * v), h * h * (3 - 2 * h)
    upper = noise[y, x] * (1 - h) + noise[y, x + 1] * h
    lower = noise[y + 1, x] * (1 - h) + noise[y + 1, x + 1] * h
    return upper * (1 - v) + lower * v


@compiled_within
def _bilinear(image: Any, down: float, across: float) -> float:
    """The value of an image between its pixels; black outside."""
    height, width = image.shape
    y, x = math.floor(down), math.floor(across)
    v, h = down - y, across - x
    value = 0.0
    if 0 <= y < height and 0 <= x < width:
        value += image[y, x] * (1 - v) * (1 - h)
    if 0 <= y < height and 0 <= x + 1 < width:
        value += image[y, x + 1] * (1 - v) * h
    if 0 <= y + 1 < height and 0 <= x < width:
        value += image[y + 1, x] * v * (1 - h)
    if 0 <= y + 1 < height and 0 <= x + 1 < width:
        value += image[y + 1, x + 1] * v * h
    return value
