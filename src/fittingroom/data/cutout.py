"""The main object of a photo, cut out of its background without a trained network.

Four guesses of what is object and what is background are refined by GrabCut. A mask scores by how
well its outline follows the picture's edges, and how little its colours are those of the
background. Without OpenCV one guess is used as it is.

- by its connection to the border: superpixels whose like reach the picture's border are background
  (Zhu, Liang, Wei and Sun 2014, "Saliency Optimization from Robust Background Detection")
- by colour: what is unlike the border's main colours
- by place: all but the rim; or the middle for sure, the rim surely not

GrabCut: Rother, Kolmogorov and Blake 2004.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import closing, disk, opening
from skimage.segmentation import slic

cv2: Any
try:
    import cv2
except ImportError:
    cv2 = None

Mask = NDArray[np.bool_]
RGB = NDArray[np.uint8]
Lab = NDArray[np.float64]
#: Of a pixel in a guess, as GrabCut numbers them.
BACKGROUND, OBJECT, MAYBE_BACKGROUND, MAYBE_OBJECT = 0, 1, 2, 3
Guess = NDArray[np.uint8]

SUPERPIXELS = 300
#: Lab distances: what counts as one colour along a path, and as alike between neighbours.
SAME_COLOUR, ALIKE = 7.0, 10.0
ROUNDS = 4
#: Of an object, the share that a hole may have and still be filled.
SMALL_HOLE = 0.01


@dataclass(frozen=True, eq=False)
class Cutout:
    """A mask of the main object, and how it was found.

    Attributes
    ----------
    mask : (height, width)
    by : "connection", "colour", "place" or "middle", or "nothing": the mask is the whole picture
    score : how well the outline fits, about 0 … 3.5; for comparing masks of one picture
    """

    mask: Mask
    by: str
    score: float


def cut_outs(pixels: RGB) -> list[Cutout]:
    """Where the main object of a photo (height, width, 3) may be, the best guess first.

    Best of 200 to 400 pixels a side. Where no guess is any good it is the whole picture.
    """
    whole = Cutout(np.ones(pixels.shape[:2], bool), "nothing", 0.0)
    if min(pixels.shape[:2]) < 16 or np.ptp(pixels.reshape(-1, 3), axis=0).max() < 8:
        return [whole]
    lab = rgb2lab(pixels)
    guesses = _GUESSES if cv2 is not None else {"connection": by_connection}
    found = []
    for by, guess in guesses.items():
        mask = _main_part(_refined(pixels, guess(pixels, lab)))
        found.append(Cutout(mask, by, _score(pixels, lab, mask)))
    good = [cutout for cutout in found if cutout.score > 0]
    return sorted(good, key=lambda cutout: -cutout.score) or [whole]


def by_connection(pixels: RGB, lab: Lab) -> Guess:
    salient = _saliency(pixels, lab)
    middle = threshold_otsu(salient)
    guess = np.where(salient > middle, MAYBE_OBJECT, MAYBE_BACKGROUND)
    guess[salient < 0.3 * middle] = BACKGROUND
    guess[salient > min(0.95, 1.7 * middle)] = OBJECT
    return guess.astype(np.uint8)


def by_colour(pixels: RGB, lab: Lab) -> Guess:
    rim = _rim(lab.shape[:2], 0.03)
    cv2.setRNGSeed(0)
    until = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 20, 0.5)
    border = lab[rim].astype(np.float32)
    _, which, colours = cv2.kmeans(border, 4, None, until, 1, cv2.KMEANS_PP_CENTERS)
    main = colours[np.bincount(which.ravel(), minlength=4) > 0.1 * len(which)]
    # Light falls unevenly, so lightness counts less than hue.
    apart = (lab[:, :, None] - main) * (0.6, 1.4, 1.4)
    distance = ndimage.gaussian_filter(np.linalg.norm(apart, axis=3).min(axis=2), 2)
    middle = threshold_otsu(distance)
    guess = np.where(distance > middle, MAYBE_OBJECT, MAYBE_BACKGROUND)
    guess[(distance < 0.35 * middle) | (rim & (distance < middle))] = BACKGROUND
    return guess.astype(np.uint8)


def by_place(pixels: RGB, lab: Lab) -> Guess:
    return np.where(_rim(lab.shape[:2], 0.04), BACKGROUND, MAYBE_OBJECT).astype(np.uint8)


def by_middle(pixels: RGB, lab: Lab) -> Guess:
    down, across = (np.linspace(-0.5, 0.5, side) for side in lab.shape[:2])

    def inside(height: float, width: float) -> Mask:
        return (down[:, None] / height) ** 2 + (across / width) ** 2 < 1

    guess = np.where(inside(0.42, 0.36), MAYBE_OBJECT, MAYBE_BACKGROUND)
    guess[inside(0.22, 0.16)] = OBJECT
    guess[_rim(lab.shape[:2], 0.015)] = BACKGROUND
    return guess.astype(np.uint8)


_GUESSES: dict[str, Callable[[RGB, Lab], Guess]] = {
    "connection": by_connection,
    "colour": by_colour,
    "place": by_place,
    "middle": by_middle,
}


def _rim(shape: tuple[int, ...], share: float) -> Mask:
    """The pixels of a picture's border, so wide."""
    wide = max(1, round(share * max(shape)))
    rim = np.ones(shape, bool)
    rim[wide:-wide, wide:-wide] = False
    return rim


def _refined(pixels: RGB, guess: Guess) -> Mask:
    sure = np.isin(guess, (OBJECT, MAYBE_OBJECT))
    if cv2 is None or sure.all() or not sure.any():
        return sure
    cv2.setRNGSeed(0)
    guess, models = guess.copy(), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(pixels, guess, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(guess, (OBJECT, MAYBE_OBJECT))


def _main_part(mask: Mask) -> Mask:
    """The largest part near the middle, its small gaps closed and its small holes filled."""
    parts = label(opening(mask, disk(2)))
    if parts.max() == 0:
        return np.zeros_like(mask)
    height, width = mask.shape

    def weight(part: Any) -> float:
        down, across = part.centroid
        off = (down / height - 0.5) ** 2 + (across / width - 0.5) ** 2
        return float(part.area * np.exp(-off / 0.1))

    main = closing(parts == max(regionprops(parts), key=weight).label, disk(1))
    # Small holes are mistakes; the large one between two sleeves or legs is not.
    holes = label(ndimage.binary_fill_holes(main) & ~main)
    small = np.bincount(holes.ravel()) < SMALL_HOLE * main.sum()
    small[0] = False
    filled: Mask = main | small[holes]
    return filled


def _score(pixels: RGB, lab: Lab, mask: Mask) -> float:
    """How much a mask looks like that of a garment that fills some of the picture."""
    share = mask.mean()
    if not 0.02 < share < 0.95:
        return 0.0
    height, width = mask.shape
    smooth = ndimage.gaussian_filter(lab, (1, 1, 0))
    slopes = [ndimage.sobel(smooth[..., c], axis) ** 2 for c in range(3) for axis in (0, 1)]
    steepest = ndimage.maximum_filter(np.sqrt(sum(slopes)), 5)
    outline = mask ^ ndimage.binary_erosion(mask, border_value=1)
    along_edges = np.minimum(steepest[outline], 60).mean() / 60 if outline.any() else 0.0
    coarse = pixels // 32 @ np.array([64, 8, 1])
    inside, outside = (np.bincount(coarse[part], minlength=512) for part in (mask, ~mask))
    shared = np.minimum(inside / inside.sum(), outside / outside.sum()).sum()
    on_border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()
    part = regionprops(mask.astype(int))[0]
    off = np.hypot(part.centroid[0] / height - 0.5, part.centroid[1] / width - 0.5)
    too_small = min(0.0, np.log(share / 0.42) / 0.6)
    too_large = max(0.0, (share - 0.42) / 0.3)
    size = np.exp(-(too_small**2 + too_large**2) / 2)
    return float(along_edges + (1 - shared) + size + 0.5 * part.solidity - on_border - off)


def _saliency(pixels: RGB, lab: Lab) -> NDArray[np.float64]:
    """How much each pixel's superpixel is no background, about 0 … 1 (Zhu et al. 2014)."""
    where = slic(pixels, n_segments=SUPERPIXELS, compactness=20, start_label=0, channel_axis=-1)
    n = int(where.max()) + 1
    every = np.arange(n)
    colours = np.stack([ndimage.mean(lab[..., c], where, every) for c in range(3)], axis=1)
    middles = ndimage.center_of_mass(np.ones(where.shape), where, every)
    places = np.array(middles) / max(where.shape)  # (n, 2)
    apart = np.linalg.norm(colours[:, None] - colours, axis=2)
    pairs = _neighbours(where)
    background = _background(where, apart, pairs)

    # What differs from background nearby is object, the more the nearer (equation 6).
    far = np.linalg.norm(places[:, None] - places, axis=2)
    contrast = (apart * np.exp(-(far**2) / (2 * 0.25**2)) * background).sum(axis=1)
    contrast = (contrast - contrast.min()) / max(float(np.ptp(contrast)), 1e-9)
    # Both wishes, and that like neighbours are told alike, in least squares (equation 9).
    alike = np.zeros((n, n))
    between = apart[pairs[:, 0], pairs[:, 1]]
    alike[pairs[:, 0], pairs[:, 1]] = np.exp(-(between**2) / (2 * ALIKE**2)) + 0.1
    alike += alike.T
    smooth = np.diag(alike.sum(axis=1)) - alike
    weights = np.diag(5 * background + contrast)
    salient = np.linalg.solve(smooth + weights, contrast)
    return salient[where]  # type: ignore[no-any-return]


def _background(
    where: NDArray[np.integer], apart: NDArray[np.float64], pairs: NDArray[np.integer]
) -> NDArray[np.float64]:
    """How sure each superpixel is background: its like touch the border for long (equation 4)."""
    n = len(apart)
    rim = np.unique(where[_rim(where.shape, 0)])
    around = np.stack(np.triu_indices(len(rim), 1), axis=1)
    links = np.concatenate([pairs, rim[around]])  # the border counts as one piece
    usual = _smallest(apart, pairs).mean()  # between neighbours of one thing
    lengths = np.maximum(0, apart[links[:, 0], links[:, 1]] - usual) + 1e-6
    path = dijkstra(coo_matrix((lengths, links.T), (n, n)), directed=False)
    like = np.exp(-(path**2) / (2 * SAME_COLOUR**2))
    connected = like[:, rim].sum(axis=1) / np.sqrt(like.sum(axis=1))
    return 1 - np.exp(-(connected**2) / 2)  # type: ignore[no-any-return]


def _neighbours(where: NDArray[np.integer]) -> NDArray[np.integer]:
    """Pairs (m, 2) of superpixels that touch, the smaller number first."""
    pairs = [
        np.stack([one[one != other], other[one != other]], axis=1)
        for one, other in (
            (where[:, 1:], where[:, :-1]),
            (where[1:], where[:-1]),
            (where[1:, 1:], where[:-1, :-1]),
            (where[1:, :-1], where[:-1, 1:]),
        )
    ]
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def _smallest(apart: NDArray[np.float64], pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each superpixel's distance from the neighbour that is most like it."""
    least = np.full(len(apart), np.inf)
    for side in (0, 1):
        np.minimum.at(least, pairs[:, side], apart[pairs[:, 0], pairs[:, 1]])
    return least
