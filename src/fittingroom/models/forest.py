"""Random forests of images, the very trees that scikit-learn grows.

A pixel takes one of 256 values, so the images of a large node need no sorting: they are counted, by
value and class. Those of a small one are copied together first and stay in the cache until its
whole subtree has grown. Lots are drawn in scikit-learn's order by its generator, sums are whole
numbers, and impurities are computed by its formulas, so that the trees are the same to the bit
(sklearn/tree/_splitter.pyx `node_split_best`, _tree.pyx `DepthFirstTreeBuilder`, _criterion.pyx
`Gini`, all of version 1.9).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree._tree import NODE_DTYPE, Tree
from sklearn.utils import check_random_state

MOST_CLASSES = 256  # a class is a byte of a key
_CLASS_BITS, _VALUE_SHIFT = 8, 23  # of a key: value, weight (15 bits), class
_MOST_WEIGHT = 2 ** (_VALUE_SHIFT - _CLASS_BITS) - 1
_LARGE = 1000  # images of a node above which they are counted in place
_SMALL = 100  # images of a node up to which sorting is faster than counting
_TINY = 24  # images of a node up to which insertion sorts faster than counting
#: Bytes of images that the threads may copy together, each those of the subtree it is at.
MOST_MEMORY = 2**30
_EPSILON = np.finfo(np.float64).eps
_LEAF, _UNDEFINED = -1, -2  # as scikit-learn marks them

# How it lies in memory
#
#   columns  (pixels, n)      a pixel of all images side by side: what a large node reads
#   near     (_LARGE, pixels) the images of a small node, copied together once; its whole subtree
#            is grown before it is filled again, since the tree grows depth first
#   images   the rows that were drawn, tags their weights and classes, permuted together: each node
#            is a stretch start … end of them, and a split puts its left child's first
#
#            0 ──────────────── n        root
#            0 ───── m ───────── n       its children
#            0 ─ l ─ m                   the left one's, and so on
#
#   a key    | value 8 bits | weight 15 bits | class 8 bits |, so that sorted keys are by value
#   a tag                   | weight         | class        |, its lower part
#
# No fastmath: splits that are nearly as good must be told apart by the same roundings.
_exactly = njit(cache=True, nogil=True, error_model="numpy")


def can_grow(
    estimator: RandomForestClassifier, n_images: int, n_pixels: int, n_classes: int
) -> bool:
    """Whether :func:`fit_forest` does what `estimator` asks for, within `MOST_MEMORY`."""
    free = {"n_estimators", "max_depth", "random_state", "n_jobs", "verbose"}
    asked, defaults = estimator.get_params(), RandomForestClassifier().get_params()
    same = all(asked[name] == defaults[name] for name in asked if name not in free)
    copies = torch.get_num_threads() * min(n_images, _LARGE) * n_pixels
    return same and n_classes <= MOST_CLASSES and copies <= MOST_MEMORY


def fit_forest(
    estimator: RandomForestClassifier, pixels: NDArray[np.uint8], codes: NDArray[np.int64]
) -> RandomForestClassifier:
    """Fit `estimator`, one for which :func:`can_grow`, on as many threads as torch takes.

    Parameters
    ----------
    pixels : (n, height*width)
    codes : integers (n,), every class of 0..classes-1 present

    Returns
    -------
    `estimator`, with the trees that its own ``fit`` would have grown
    """
    estimator._validate_params()
    estimator._validate_estimator()
    lots = check_random_state(estimator.random_state)
    trees = [
        estimator._make_estimator(append=False, random_state=lots)
        for _ in range(estimator.n_estimators)
    ]
    columns = np.ascontiguousarray(pixels.T)
    n_classes = int(codes.max()) + 1

    def grow(tree: Any) -> None:
        _grow_tree(tree, pixels, columns, codes, n_classes)

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(grow, trees))
    estimator.estimators_ = trees
    estimator.n_features_in_, estimator.n_outputs_ = pixels.shape[1], 1
    estimator.classes_, estimator.n_classes_ = np.arange(n_classes), n_classes
    estimator._n_samples = estimator._n_samples_bootstrap = len(pixels)
    estimator._sample_weight = None
    return estimator


def _grow_tree(
    tree: Any,
    pixels: NDArray[np.uint8],
    columns: NDArray[np.uint8],
    codes: NDArray[np.int64],
    n_classes: int,
) -> None:
    """Fill in one :class:`~sklearn.tree.DecisionTreeClassifier`, whose random_state is a number."""
    n, n_pixels = pixels.shape
    # The bootstrap, drawn as scikit-learn draws it, so that the same images have the same weights.
    drawn = np.random.RandomState(tree.random_state).randint(0, n, n)
    weights = np.bincount(drawn, minlength=n)  # nobody is drawn 2**15 times
    images = np.flatnonzero(weights)
    tags = codes[images] | weights[images] << _CLASS_BITS
    seed = np.random.RandomState(tree.random_state).randint(0, 2**31 - 1)
    tree.max_features_ = max(1, int(np.sqrt(n_pixels)))
    nodes = np.zeros(2 * len(images) - 1, NODE_DTYPE)
    values = np.zeros((len(nodes), 1, n_classes))
    node_count, depth = _grow(
        pixels,
        columns,
        images.astype(np.uint32),
        tags.astype(np.int32),
        _Features(
            np.arange(n_pixels, dtype=np.int32),
            np.empty(n_pixels, np.int32),
            tree.max_features_,
            np.array([seed], np.uint32),
        ),
        np.iinfo(np.int32).max if tree.max_depth is None else tree.max_depth,
        nodes,
        values[:, 0],
    )
    tree.n_features_in_, tree.n_outputs_ = n_pixels, 1
    tree.classes_, tree.n_classes_ = np.arange(n_classes, dtype=np.float64), np.intp(n_classes)
    tree.tree_ = Tree(n_pixels, np.array([n_classes], np.intp), 1)
    grown = {"max_depth": depth, "node_count": node_count}
    tree.tree_.__setstate__(
        {**grown, "nodes": nodes[:node_count].copy(), "values": values[:node_count].copy()}
    )


class _Images(NamedTuple):
    """The images of a node, and where their pixels are read.

    Attributes
    ----------
    source : uint8 (images, pixels) where it is near, else (pixels, images)
    is_near : whether the images of the node's subtree were copied together
    numbers : uint32, their places in `source`
    tags : int32, class and weight of each
    """

    source: Any
    is_near: bool
    numbers: Any
    tags: Any


class _Weights(NamedTuple):
    """Weights of a node's images: of each class, of all, and the sum of the classes' squares."""

    classes: Any
    total: int
    squares: int


class _Features(NamedTuple):
    """The order in which features are drawn, see `_best_split`; `state` is of the generator."""

    order: Any
    constants: Any
    most: int
    state: Any


class _Scratch(NamedTuple):
    """Memory that a split writes over; what each is for stands in `_sort` and `_scan_table`."""

    ordered: Any
    unordered: Any
    counts: Any
    table: Any
    sums: Any
    left: Any
    spare: Any


class _Split(NamedTuple):
    """A node's split, and what its children need; `feature` is negative where there is none."""

    feature: int
    below: int
    above: int
    n_constants: int
    n_left: int
    impurity_left: float
    impurity_right: float


@_exactly
def _grow(
    pixels: Any,
    columns: Any,
    images: Any,
    tags: Any,
    features: _Features,
    max_depth: int,
    nodes: Any,
    values: Any,
) -> tuple[int, int]:
    """Grow a tree depth first; returns how many nodes it has, and its depth.

    Parameters
    ----------
    pixels, columns : uint8 (n, pixels) and, the same, (pixels, n)
    images : int32, rows of `pixels` that were drawn; is overwritten
    tags : int32, class and weight of each of `images`; is overwritten
    features : all of them, in their order, and the generator
    nodes, values : NODE_DTYPE (most nodes,) and float64 (most nodes, classes), are filled
    """
    n, n_pixels, n_classes = len(images), pixels.shape[1], values.shape[1]
    near = np.empty((min(n, _LARGE), n_pixels), np.uint8)  # the images of a small subtree
    total, scratch = np.empty(n_classes, np.int64), _scratch(n, n_classes)
    # start, end, depth, parent, whether it is the left child, how many known constants
    stack = np.empty((n + 1, 6), np.int64)
    impurities = np.full(n + 1, np.inf)
    stack[0] = (0, n, 0, _UNDEFINED, 0, 0)
    height, node_count, deepest, near_end, n_drawn = 1, 0, 0, 0, 0
    while height > 0:
        height -= 1
        start, end, depth, parent, is_left, n_known = stack[height]
        impurity = impurities[height]  # computed by the parent, but for the root's
        weights = _Weights(total, *_count_classes(tags[start:end], total))
        if node_count == 0:
            n_drawn = weights.total
            impurity = 1.0 - weights.squares / (float(weights.total) * float(weights.total))
        deepest = max(deepest, depth)
        is_leaf = depth >= max_depth or end - start < 2 or impurity <= _EPSILON
        split = _Split(_UNDEFINED, 0, 0, n_known, 0, 0.0, 0.0)
        if not is_leaf:
            # Nodes come depth first, so all up to `near_end` belong to the subtree that is near.
            is_near = end <= near_end
            if not is_near and end - start <= _LARGE:
                _bring_near(pixels, images[start:end], near)
                near_end, is_near = end, True
            source = near if is_near else columns
            here = _Images(source, is_near, images[start:end], tags[start:end])
            split = _split(here, weights, features, n_known, scratch, impurity, n_drawn)
        node = nodes[node_count]
        node.impurity, node.n_node_samples = impurity, end - start
        _set_values(weights, node, values[node_count])
        if parent != _UNDEFINED and is_left:
            nodes[parent].left_child = node_count
        elif parent != _UNDEFINED:
            nodes[parent].right_child = node_count
        if split.feature < 0:
            node.left_child = node.right_child = _LEAF
            node.feature, node.threshold = _UNDEFINED, _UNDEFINED
        else:
            middle = start + split.n_left
            node.feature, node.threshold = split.feature, split.below / 2.0 + split.above / 2.0
            node.missing_go_to_left = middle - start > end - middle
            # The left child is on top, so it is grown first, as scikit-learn numbers its nodes.
            stack[height] = (middle, end, depth + 1, node_count, 0, split.n_constants)
            impurities[height] = split.impurity_right
            stack[height + 1] = (start, middle, depth + 1, node_count, 1, split.n_constants)
            impurities[height + 1] = split.impurity_left
            height += 2
        node_count += 1
    return node_count, deepest


@_exactly
def _scratch(n: int, n_classes: int) -> _Scratch:
    """Memory for the splits of a tree of n images."""
    return _Scratch(
        np.empty(_SMALL, np.int32),
        np.empty(_SMALL, np.int32),
        np.zeros(256, np.int32),
        np.zeros(n_classes * 256, np.int32),
        np.empty((4, 256)),
        np.empty(n_classes, np.int64),
        np.empty((2, n), np.uint32),
    )


@_exactly
def _split(
    here: _Images,
    weights: _Weights,
    features: _Features,
    n_known: int,
    scratch: _Scratch,
    impurity: float,
    n_drawn: int,
) -> _Split:
    """Find the best split of a node and part its images by it; no feature where there is none."""
    feature, below, above, n_constants = _best_split(here, weights, features, n_known, scratch)
    if feature < 0:
        return _Split(_UNDEFINED, 0, 0, n_constants, 0, 0.0, 0.0)
    n_left = _partition(here, feature, below, scratch.spare)
    gain, left, right = _gain(here.tags[:n_left], scratch.left, weights, impurity, n_drawn)
    if gain + _EPSILON < 0.0:
        return _Split(_UNDEFINED, 0, 0, n_constants, 0, 0.0, 0.0)
    return _Split(feature, below, above, n_constants, n_left, left, right)


@_exactly
def _count_classes(tags: Any, total: Any) -> tuple[int, int]:
    """Fill `total` with the weight of each class; returns their sum and the sum of squares."""
    total[:] = 0
    for i in range(len(tags)):
        total[tags[i] & 255] += tags[i] >> _CLASS_BITS
    weight = squares = 0
    for c in range(len(total)):
        weight += total[c]
        squares += total[c] * total[c]
    return weight, squares


@_exactly
def _gain(
    tags_left: Any, left: Any, weights: _Weights, impurity: float, n_drawn: int
) -> tuple[float, float, float]:
    """What a split takes from the tree's impurity, and the impurities of its two sides.

    Fills `left` with the weight of each class on the left.
    """
    weight_left, squares_left = _count_classes(tags_left, left)
    squares_right = 0
    for c in range(len(left)):
        squares_right += (weights.classes[c] - left[c]) ** 2
    # scikit-learn's formulas in its order of operations, for the same roundings.
    w, w_left = float(weights.total), float(weight_left)
    w_right = float(weights.total - weight_left)
    impurity_left = 1.0 - squares_left / (w_left * w_left)
    impurity_right = 1.0 - squares_right / (w_right * w_right)
    gain = (w / n_drawn) * (
        impurity - (w_right / w * impurity_right) - (w_left / w * impurity_left)
    )
    return gain, impurity_left, impurity_right


@_exactly
def _set_values(weights: _Weights, node: Any, values: Any) -> None:
    """Write the weight of a node, and the share of each class (classes,)."""
    node.weighted_n_node_samples = weights.total
    for c in range(len(values)):
        values[c] = weights.classes[c] / float(weights.total)


@_exactly
def _bring_near(pixels: Any, images: Any, near: Any) -> None:
    """Copy rows together, and number `images` by their place there."""
    for i in range(len(images)):
        near[i] = pixels[images[i]]
        images[i] = i


@_exactly
def _partition(here: _Images, feature: int, below: int, spare: Any) -> int:
    """Put those up to `below` first, each side in its order; returns how many they are."""
    source, is_near, images, tags = here
    n_left = n_right = 0
    for i in range(len(images)):
        value = source[images[i], feature] if is_near else source[feature, images[i]]
        # In place on the left, where no more is written than was read; the right waits in `spare`.
        if value <= below:
            images[n_left], tags[n_left] = images[i], tags[i]
            n_left += 1
        else:
            spare[0, n_right], spare[1, n_right] = images[i], tags[i]
            n_right += 1
    images[n_left:] = spare[0, :n_right]
    tags[n_left:] = spare[1, :n_right]
    return n_left


@_exactly
def _best_split(
    here: _Images, weights: _Weights, drawing: _Features, n_known: int, scratch: _Scratch
) -> tuple[int, int, int, int]:
    """The feature to split by, the values on both sides of the cut, how many constants are known.

    Features are drawn without replacement until `max_features` were and one of them varies; those
    that are constant among these images are remembered for the nodes below. `features` holds, in
    this order: constants drawn, constants known before, constants found, those left, those drawn.
    """
    images, table = here.numbers, scratch.table
    features, constants, max_features, state = drawing
    best, best_feature, best_below, best_above = -np.inf, _UNDEFINED, 0, 0
    rest, n_visited, n_found, n_drawn, n_constants = len(features), 0, 0, 0, n_known
    while rest > n_constants and (n_visited < max_features or n_visited <= n_found + n_drawn):
        n_visited += 1
        place = n_drawn + _next_random(state) % (rest - n_found - n_drawn)
        if place < n_known:  # a constant, which was known before: drawn, and nothing to look at
            features[n_drawn], features[place] = features[place], features[n_drawn]
            n_drawn += 1
            continue
        place += n_found
        feature = features[place]
        least = most = 0
        if len(images) <= _SMALL:
            varies = _sort(here, feature, scratch)
        else:
            least, most = _tabulate(here, feature, table)
            varies = least != most
            if not varies:
                table[:] = 0
        if not varies:
            features[place], features[n_constants] = features[n_constants], features[place]
            n_found += 1
            n_constants += 1
            continue
        # What varies goes to the end, so that it isn't drawn again.
        rest -= 1
        features[rest], features[place] = features[place], features[rest]
        if len(images) <= _SMALL:
            score, below, above = _scan_sorted(
                scratch.ordered, len(images), weights, scratch.left, best
            )
        else:
            score, below, above = _scan_table(table, least, most, weights, scratch.sums, best)
        if score > best:
            best, best_feature, best_below, best_above = score, feature, below, above
    # The known constants back in their order, for the nodes below, whose draws go by it.
    features[:n_known] = constants[:n_known]
    constants[n_known:n_constants] = features[n_known:n_constants]
    return best_feature, best_below, best_above, n_constants


@_exactly
def _next_random(state: Any) -> Any:
    """The next of 31 bits: xorshift (Marsaglia, J. Stat. Software 8:14, 2003), as scikit-learn."""
    x = np.uint32(state[0]) if state[0] != 0 else np.uint32(1)
    x ^= np.uint32(x << np.uint32(13))
    x ^= np.uint32(x >> np.uint32(17))
    x ^= np.uint32(x << np.uint32(5))
    state[0] = x
    return np.int64(np.uint32(x) & np.uint32(0x7FFFFFFF))


@_exactly
def _sort(here: _Images, feature: int, scratch: _Scratch) -> bool:
    """Fill `ordered` with value and tag of each image, sorted; False if all values are equal."""
    near, images, tags = here.source, here.numbers, here.tags
    ordered, unordered, counts = scratch.ordered, scratch.unordered, scratch.counts
    n = len(images)
    least, most = 255, 0
    for i in range(n):
        value = near[images[i], feature]
        unordered[i] = (np.int32(value) << _VALUE_SHIFT) | tags[i]
        least, most = min(least, value), max(most, value)
    if least == most:
        return False
    if n <= _TINY:
        for i in range(n):
            key, place = unordered[i], i
            while place > 0 and ordered[place - 1] > key:
                ordered[place] = ordered[place - 1]
                place -= 1
            ordered[place] = key
        return True
    # Sorted by counting: how many have a value, where each value begins, then each to its place.
    for i in range(n):
        counts[unordered[i] >> _VALUE_SHIFT] += 1
    before = 0
    for value in range(least, most + 1):
        count = counts[value]
        counts[value] = before
        before += count
    for i in range(n):
        value = unordered[i] >> _VALUE_SHIFT
        ordered[counts[value]] = unordered[i]
        counts[value] += 1
    for value in range(least, most + 1):  # for the next, and less than all 256
        counts[value] = 0
    return True


@_exactly
def _scan_sorted(
    keys: Any, n: int, weights: _Weights, left: Any, best: float
) -> tuple[float, int, int]:
    """The best cut that beats `best`: its score, and the values below and above it."""
    total, weight, squares = weights
    for c in range(len(left)):
        left[c] = 0
    weight_left = squares_left = 0
    squares_right = squares
    found_below = found_above = 0
    below = keys[0] >> _VALUE_SHIFT
    for i in range(n):
        value = keys[i] >> _VALUE_SHIFT
        # Computed where there is no cut too: a jump that can't be foreseen costs more.
        score = _score(weight_left, squares_left, weight - weight_left, squares_right)
        if (score if value != below else -np.inf) > best:
            best, found_below, found_above = score, below, value
        below = value
        c, w = keys[i] & 255, (keys[i] >> _CLASS_BITS) & _MOST_WEIGHT
        # (l + w)² - l² = w (2 l + w), and on the right r² - (r - w)² likewise.
        squares_left += w * (2 * left[c] + w)
        squares_right -= w * (2 * (total[c] - left[c]) - w)
        left[c] += w
        weight_left += w
    return best, found_below, found_above


@_exactly
def _tabulate(here: _Images, feature: int, table: Any) -> tuple[int, int]:
    """Add the weight of each class and value to `table`; returns the least and largest value."""
    source, is_near, images, tags = here
    least, most = 255, 0
    for i in range(len(images)):
        value = source[images[i], feature] if is_near else source[feature, images[i]]
        least, most = min(least, value), max(most, value)
        table[(tags[i] & 255) << 8 | value] += tags[i] >> _CLASS_BITS
    return least, most


@_exactly
def _scan_table(
    table: Any, least: int, most: int, node: _Weights, sums: Any, best: float
) -> tuple[float, int, int]:
    """As :func:`_scan_sorted`, from the weight of each class and value in `least` … `most`.

    Empties `table`.
    `sums`, float64 (4, 256), are for each value and all up to it: weight, squares on the left, on
    the right, and score. They are whole below 2**53, so in this form too they are exact.
    """
    total, n = node.classes, most - least + 1
    weights, lefts, rights, scores = sums[0, :n], sums[1, :n], sums[2, :n], sums[3, :n]
    weights[:] = 0
    lefts[:] = 0
    rights[:] = 0
    for c in range(len(total)):
        if total[c] == 0:
            continue
        counts, before = table[(c << 8) + least : (c << 8) + most + 1], np.int32(0)
        for i in range(n):
            before += counts[i]
            counts[i] = before
        whole = float(total[c])
        for i in range(n):
            w = float(counts[i])
            weights[i] += w
            lefts[i] += w * w
            rights[i] += (whole - w) * (whole - w)
        counts[:] = 0
    all_weight = float(node.total)
    for i in range(n):
        w, other = weights[i], all_weight - weights[i]
        scores[i] = -other * (1.0 - rights[i] / (other * other)) - w * (1.0 - lefts[i] / (w * w))
    found, last = -1, -1
    for i in range(n - 1):  # at the largest value nothing is left on the right
        if scores[i] > best:
            best, found = scores[i], i
    if found < 0:
        return best, 0, 0
    last = found + 1
    while weights[last] == weights[found]:
        last += 1
    return best, least + found, least + last


@_exactly
def _score(weight_left: int, squares_left: int, weight_right: int, squares_right: int) -> float:
    """How pure two children are: their Gini impurities times their weights, the sign turned."""
    w_left, w_right = float(weight_left), float(weight_right)
    impurity_left = 1.0 - squares_left / (w_left * w_left)
    impurity_right = 1.0 - squares_right / (w_right * w_right)
    return -w_right * impurity_right - w_left * impurity_left
