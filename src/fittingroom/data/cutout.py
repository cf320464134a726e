"""The main object of a photo, cut out of its background without a trained network.

GrabCut refines four initial guesses of what is object and what is background. A mask scores high
if its outline follows the picture's edges and its colours differ from the background's. Without
OpenCV one guess is used unrefined.

- connection: superpixels linked to the picture's border by similar ones are background
  (Zhu, Liang, Wei and Sun 2014, "Saliency Optimization from Robust Background Detection")
- colour: what differs from the border's main colours is object
- place: all but the rim may be object
- middle: the middle is object, the rim background

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
#: Labels of the pixels of a guess, as GrabCut numbers them.
BACKGROUND, OBJECT, MAYBE_BACKGROUND, MAYBE_OBJECT = 0, 1, 2, 3
Guess = NDArray[np.uint8]

SUPERPIXELS = 300
#: Lab distances: of the same colour along a path, and of similar neighbours.
SAME_COLOUR, ALIKE = 7.0, 10.0
ROUNDS = 4
#: Largest hole to fill, as a share of the object's area.
SMALL_HOLE = 0.01


@dataclass(frozen=True, eq=False)
class Cutout:
    """A mask of the main object, and how it was found.

    Attributes
    ----------
    mask : (height, width)
    by : "connection", "colour", "place" or "middle", or "nothing": the mask is the whole picture
    score : how well the outline fits, about 0 … 3.5; comparable between masks of one picture
    """

    mask: Mask
    by: str
    score: float


def cut_outs(pixels: RGB) -> list[Cutout]:
    """Guess where the main object of a photo (height, width, 3) is, the best guess first.

    Works best with 200 to 400 pixels per side. If no guess is good, it is the whole picture.
    """
    everything = Cutout(np.ones(pixels.shape[:2], bool), "nothing", 0.0)
    if min(pixels.shape[:2]) < 16 or np.ptp(pixels.reshape(-1, 3), axis=0).max() < 8:
        return [everything]
    lab = rgb2lab(pixels)
    guesses = _GUESSES if cv2 is not None else {"connection": by_connection}
    cutouts = []
    for by, guess in guesses.items():
        mask = _main_part(_refine(pixels, guess(pixels, lab)))
        cutouts.append(Cutout(mask, by, _score(pixels, lab, mask)))
    good = [cutout for cutout in cutouts if cutout.score > 0]
    return sorted(good, key=lambda cutout: -cutout.score) or [everything]


def by_connection(pixels: RGB, lab: Lab) -> Guess:
    salient = _saliency(pixels, lab)
    threshold = threshold_otsu(salient)
    guess = np.where(salient > threshold, MAYBE_OBJECT, MAYBE_BACKGROUND)
    guess[salient < 0.3 * threshold] = BACKGROUND
    guess[salient > min(0.95, 1.7 * threshold)] = OBJECT
    return guess.astype(np.uint8)


def by_colour(pixels: RGB, lab: Lab) -> Guess:
    rim = _rim(lab.shape[:2], 0.03)
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 20, 0.5)
    border = lab[rim].astype(np.float32)
    _, cluster, colours = cv2.kmeans(border, 4, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    main_colours = colours[np.bincount(cluster.ravel(), minlength=4) > 0.1 * len(cluster)]
    # Light falls unevenly, so lightness counts less than hue.
    difference = (lab[:, :, None] - main_colours) * (0.6, 1.4, 1.4)
    distance = ndimage.gaussian_filter(np.linalg.norm(difference, axis=3).min(axis=2), 2)
    threshold = threshold_otsu(distance)
    guess = np.where(distance > threshold, MAYBE_OBJECT, MAYBE_BACKGROUND)
    guess[(distance < 0.35 * threshold) | (rim & (distance < threshold))] = BACKGROUND
    return guess.astype(np.uint8)


def by_place(pixels: RGB, lab: Lab) -> Guess:
    return np.where(_rim(lab.shape[:2], 0.04), BACKGROUND, MAYBE_OBJECT).astype(np.uint8)


def by_middle(pixels: RGB, lab: Lab) -> Guess:
    y, x = (np.linspace(-0.5, 0.5, side) for side in lab.shape[:2])

    def inside(height: float, width: float) -> Mask:
        return (y[:, None] / height) ** 2 + (x / width) ** 2 < 1

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
    """A picture's border, whose width is a share of the longer side."""
    width = max(1, round(share * max(shape)))
    rim = np.ones(shape, bool)
    rim[width:-width, width:-width] = False
    return rim


def _refine(pixels: RGB, guess: Guess) -> Mask:
    likely = np.isin(guess, (OBJECT, MAYBE_OBJECT))
    if cv2 is None or likely.all() or not likely.any():
        return likely
    cv2.setRNGSeed(0)
    guess, models = guess.copy(), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(pixels, guess, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(guess, (OBJECT, MAYBE_OBJECT))


def _main_part(mask: Mask) -> Mask:
    """The largest part near the middle, with small gaps closed and small holes filled."""
    parts = label(opening(mask, disk(2)))
    if parts.max() == 0:
        return np.zeros_like(mask)
    height, width = mask.shape

    def weight(region: Any) -> float:
        y, x = region.centroid
        offset = (y / height - 0.5) ** 2 + (x / width - 0.5) ** 2
        return float(region.area * np.exp(-offset / 0.1))

    main = closing(parts == max(regionprops(parts), key=weight).label, disk(1))
    # Small holes are mistakes; the large one between sleeves or legs isn't.
    holes = label(ndimage.binary_fill_holes(main) & ~main)
    small = np.bincount(holes.ravel()) < SMALL_HOLE * main.sum()
    small[0] = False
    filled: Mask = main | small[holes]
    return filled


def _score(pixels: RGB, lab: Lab, mask: Mask) -> float:
    """How much a mask looks like that of a garment that fills part of the picture."""
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
    offset = np.hypot(part.centroid[0] / height - 0.5, part.centroid[1] / width - 0.5)
    too_small = min(0.0, np.log(share / 0.42) / 0.6)
    too_large = max(0.0, (share - 0.42) / 0.3)
    size = np.exp(-(too_small**2 + too_large**2) / 2)
    return float(along_edges + (1 - shared) + size + 0.5 * part.solidity - on_border - offset)


def _saliency(pixels: RGB, lab: Lab) -> NDArray[np.float64]:
    """How salient each pixel's superpixel is, about 0 … 1 (Zhu et al. 2014)."""
    segments = slic(pixels, n_segments=SUPERPIXELS, compactness=20, start_label=0, channel_axis=-1)
    n = int(segments.max()) + 1
    ids = np.arange(n)
    colours = np.stack([ndimage.mean(lab[..., c], segments, ids) for c in range(3)], axis=1)
    centroids = ndimage.center_of_mass(np.ones(segments.shape), segments, ids)
    positions = np.array(centroids) / max(segments.shape)  # (n, 2)
    colour_distances = np.linalg.norm(colours[:, None] - colours, axis=2)
    pairs = _neighbours(segments)
    background = _background(segments, colour_distances, pairs)

    # What contrasts with background is object, the more so the nearer that is (equation 6).
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    contrast = (colour_distances * np.exp(-(distances**2) / (2 * 0.25**2)) * background).sum(axis=1)
    contrast = (contrast - contrast.min()) / max(float(np.ptp(contrast)), 1e-9)
    # Least squares of both cues, with similar values for similar neighbours (equation 9).
    similarity = np.zeros((n, n))
    differences = colour_distances[pairs[:, 0], pairs[:, 1]]
    similarity[pairs[:, 0], pairs[:, 1]] = np.exp(-(differences**2) / (2 * ALIKE**2)) + 0.1
    similarity += similarity.T
    laplacian = np.diag(similarity.sum(axis=1)) - similarity
    weights = np.diag(5 * background + contrast)
    salient = np.linalg.solve(laplacian + weights, contrast)
    return salient[segments]  # type: ignore[no-any-return]


def _background(
    segments: NDArray[np.integer], distances: NDArray[np.float64], pairs: NDArray[np.integer]
) -> NDArray[np.float64]:
    """How likely each superpixel is background: its like touch the border often (equation 4)."""
    n = len(distances)
    rim = np.unique(segments[_rim(segments.shape, 0)])
    rim_pairs = np.stack(np.triu_indices(len(rim), 1), axis=1)
    links = np.concatenate([pairs, rim[rim_pairs]])  # all on the border are linked
    typical = _nearest(distances, pairs).mean()  # between neighbours in one object
    lengths = np.maximum(0, distances[links[:, 0], links[:, 1]] - typical) + 1e-6
    path = dijkstra(coo_matrix((lengths, links.T), (n, n)), directed=False)
    similarity = np.exp(-(path**2) / (2 * SAME_COLOUR**2))
    connectivity = similarity[:, rim].sum(axis=1) / np.sqrt(similarity.sum(axis=1))
    return 1 - np.exp(-(connectivity**2) / 2)  # type: ignore[no-any-return]


def _neighbours(segments: NDArray[np.integer]) -> NDArray[np.integer]:
    """Pairs (m, 2) of adjacent superpixels, the smaller number first."""
    pairs = [
        np.stack([first[first != second], second[first != second]], axis=1)
        for first, second in (
            (segments[:, 1:], segments[:, :-1]),
            (segments[1:], segments[:-1]),
            (segments[1:, 1:], segments[:-1, :-1]),
            (segments[1:, :-1], segments[:-1, 1:]),
        )
    ]
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def _nearest(distances: NDArray[np.float64], pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each superpixel's colour distance from its most similar neighbour."""
    nearest = np.full(len(distances), np.inf)
    for side in (0, 1):
        np.minimum.at(nearest, pairs[:, side], distances[pairs[:, 0], pairs[:, 1]])
    return nearest
