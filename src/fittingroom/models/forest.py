"""Random forests for images, with exactly the trees that scikit-learn grows.

A pixel has one of 256 values, so the images of a large node need no sorting: they are counted, by
value and class. Those of a small node are first copied together and stay in the cache until its
whole subtree is grown. Random numbers are drawn in scikit-learn's order by its generator, sums are
integers, and impurities are computed by its formulas, so that the trees are the same to the bit
(sklearn/tree/_splitter.pyx `node_split_best`, _tree.pyx `DepthFirstTreeBuilder`, _criterion.pyx
`Gini`; the same from version 1.6 to 1.9).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree._tree import NODE_DTYPE, Tree
from sklearn.utils import check_random_state

from fittingroom.kernels.threads import count_threads

MAX_CLASSES = 256  # a class is a byte of a key
_CLASS_BITS, _VALUE_SHIFT = 8, 23  # of a key: value, weight (15 bits), class
_MAX_WEIGHT = 2 ** (_VALUE_SHIFT - _CLASS_BITS) - 1
_LARGE = 1000  # nodes with more images count them in place
_SMALL = 100  # nodes with more images count them, others sort them
_TINY = 24  # nodes with more images sort by counting, others by insertion
#: Bytes of images that all threads may copy together, each for its current subtree.
MAX_MEMORY = 2**30
_EPSILON = np.finfo(np.float64).eps
_LEAF, _UNDEFINED = -1, -2  # as in scikit-learn

# Memory layout
#
#   columns  (pixels, n)      a pixel of all images side by side: what a large node reads
#   near     (_LARGE, pixels) the images of a small node, copied together once; its whole subtree
#            is grown before it is filled again, since the tree grows depth first
#   images   the rows that were drawn, tags their weights and classes, permuted together: each node
#            is a range start … end of them, and a split puts its left child's first
#
#            0 ──────────────── n        root
#            0 ───── m ───────── n       its children
#            0 ─ l ─ m                   the left one's, and so on
#
#   a key    | value 8 bits | weight 15 bits | class 8 bits |, so that sorting keys sorts by value
#   a tag                   | weight         | class        |, its lower part
#
# No fastmath: nearly equal splits must round as in scikit-learn.
_compile_exactly = njit(cache=True, nogil=True, error_model="numpy")
_compile_within = register_jitable(error_model="numpy")  # see `compiled_within`


def can_grow(
    estimator: RandomForestClassifier, n_images: int, n_pixels: int, n_classes: int
) -> bool:
    """Whether :func:`fit_forest` supports `estimator`'s parameters, within `MAX_MEMORY`."""
    free = {"n_estimators", "max_depth", "random_state", "n_jobs", "verbose"}
    params, defaults = estimator.get_params(), RandomForestClassifier().get_params()
    same = all(params[name] == defaults[name] for name in params if name not in free)
    copies = count_threads() * min(n_images, _LARGE) * n_pixels
    return same and n_classes <= MAX_CLASSES and copies <= MAX_MEMORY


def fit_forest(
    estimator: RandomForestClassifier, pixels: NDArray[np.uint8], codes: NDArray[np.int64]
) -> RandomForestClassifier:
    """Fit `estimator`, for which :func:`can_grow` is true, by all threads.

    Parameters
    ----------
    pixels : (n, height*width)
    codes : integers (n,), every class of 0..classes-1 present

    Returns
    -------
    `estimator`, with the trees that its own ``fit`` would grow
    """
    estimator._validate_params()
    estimator._validate_estimator()
    random = check_random_state(estimator.random_state)
    trees = [
        estimator._make_estimator(append=False, random_state=random)
        for _ in range(estimator.n_estimators)
    ]
    columns = np.ascontiguousarray(pixels.T)
    n_classes = int(codes.max()) + 1

    def grow(tree: Any) -> None:
        _grow_tree(tree, pixels, columns, codes, n_classes)

    with ThreadPoolExecutor(count_threads()) as threads:
        list(threads.map(grow, trees))
    estimator.estimators_ = trees
    estimator.n_features_in_, estimator.n_outputs_ = pixels.shape[1], 1
    estimator.classes_, estimator.n_classes_ = np.arange(n_classes), n_classes
    estimator._n_samples = estimator._n_samples_bootstrap = len(pixels)
    estimator._sample_weight = None  # of scikit-learn 1.9
    return estimator


def _grow_tree(
    tree: Any,
    pixels: NDArray[np.uint8],
    columns: NDArray[np.uint8],
    codes: NDArray[np.int64],
    n_classes: int,
) -> None:
    """Fit a :class:`~sklearn.tree.DecisionTreeClassifier` whose random_state is an integer."""
    n, n_pixels = pixels.shape
    # The bootstrap, drawn as in scikit-learn, so that the same images have the same weights.
    drawn = np.random.RandomState(tree.random_state).randint(0, n, n)
    weights = np.bincount(drawn, minlength=n)  # no image is drawn 2**15 times
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
        _allocate(len(images), n_pixels, n_classes),
        nodes,
        values[:, 0],
    )
    tree.n_features_in_, tree.n_outputs_ = n_pixels, 1
    tree.classes_, tree.n_classes_ = np.arange(n_classes, dtype=np.float64), np.intp(n_classes)
    tree.tree_ = Tree(n_pixels, np.array([n_classes], np.intp), 1)
    sizes = {"max_depth": depth, "node_count": node_count}
    tree.tree_.__setstate__(
        {**sizes, "nodes": nodes[:node_count].copy(), "values": values[:node_count].copy()}
    )


class _Images(NamedTuple):
    """The images of a node, and where to read their pixels.

    Attributes
    ----------
    source : uint8 (images, pixels) if near, else (pixels, images)
    is_near : whether the images of the node's subtree were copied together
    numbers : uint32, their positions in `source`
    tags : int32, class and weight of each
    """

    source: Any
    is_near: bool
    numbers: Any
    tags: Any


class _Weights(NamedTuple):
    """Weights of a node's images: per class, in total, and the sum of the classes' squares."""

    classes: Any
    total: int
    squares: int


class _Features(NamedTuple):
    """The order of drawing features, see `_best_split`; `state` is the generator's."""

    order: Any
    constants: Any
    most: int
    state: Any


class _Scratch(NamedTuple):
    """Memory for a tree: what nodes wait for, and what each split overwrites.

    `_grow`, `_sort` and `_scan_table` describe its use. NumPy allocates it, since each kind of
    array that a kernel allocates takes 0.03 s to compile.
    """

    near: Any  # the images of a small subtree
    stack: Any
    impurities: Any
    total: Any
    left: Any
    ordered: Any
    unordered: Any
    counts: Any
    table: Any
    sums: Any
    spare: Any


def _allocate(n: int, n_pixels: int, n_classes: int) -> _Scratch:
    """Memory for a tree of n images."""
    return _Scratch(
        near=np.empty((min(n, _LARGE), n_pixels), np.uint8),
        stack=np.empty((n + 1, 6), np.int64),
        impurities=np.full(n + 1, np.inf),
        total=np.empty(n_classes, np.int64),
        left=np.empty(n_classes, np.int64),
        ordered=np.empty(_SMALL, np.int32),
        unordered=np.empty(_SMALL, np.int32),
        counts=np.zeros(256, np.int32),
        table=np.zeros(n_classes * 256, np.int32),
        sums=np.empty((4, 256)),
        spare=np.empty((2, n), np.uint32),
    )


class _Split(NamedTuple):
    """A node's split, and what its children need; `feature` is negative if there is none."""

    feature: int
    below: int
    above: int
    n_constants: int
    n_left: int
    impurity_left: float
    impurity_right: float


@_compile_exactly
def _grow(
    pixels: Any,
    columns: Any,
    images: Any,
    tags: Any,
    features: _Features,
    max_depth: int,
    scratch: _Scratch,
    nodes: Any,
    values: Any,
) -> tuple[int, int]:
    """Grow a tree depth first; returns its number of nodes and its depth.

    Parameters
    ----------
    pixels, columns : uint8 (n, pixels) and its transpose (pixels, n)
    images : uint32, rows of `pixels` that were drawn; overwritten
    tags : int32, class and weight of each of `images`; overwritten
    features : all features, in order, and the generator
    scratch : what `_allocate` returns
    nodes, values : NODE_DTYPE (most nodes,) and float64 (most nodes, classes), filled in
    """
    near, total = scratch.near, scratch.total
    stack, impurities = scratch.stack, scratch.impurities
    _push(stack[0], 0, len(images), 0, _UNDEFINED, 0, 0)
    height, node_count, deepest, near_end, n_drawn = 1, 0, 0, 0, 0
    while height > 0:
        height -= 1
        start, end, depth, parent, is_left, n_known = stack[height]
        impurity = impurities[height]  # computed by the parent, except for the root
        weights = _Weights(total, *_count_classes(tags[start:end], total))
        if node_count == 0:
            n_drawn = weights.total
            impurity = 1.0 - weights.squares / (float(weights.total) * float(weights.total))
        deepest = max(deepest, depth)
        is_leaf = depth >= max_depth or end - start < 2 or impurity <= _EPSILON
        split = _Split(_UNDEFINED, 0, 0, n_known, 0, 0.0, 0.0)
        if not is_leaf:
            # Nodes come depth first, so all up to `near_end` belong to the copied subtree.
            is_near = end <= near_end
            if not is_near and end - start <= _LARGE:
                _copy_near(pixels, images[start:end], near)
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
            # The left child is on top, so it is grown first: scikit-learn's order of nodes.
            _push(stack[height], middle, end, depth + 1, node_count, 0, split.n_constants)
            impurities[height] = split.impurity_right
            _push(stack[height + 1], start, middle, depth + 1, node_count, 1, split.n_constants)
            impurities[height + 1] = split.impurity_left
            height += 2
        node_count += 1
    return node_count, deepest


@_compile_within
def _push(
    entry: Any, start: int, end: int, depth: int, parent: int, is_left: int, n_constants: int
) -> None:
    """Fill an entry of the stack (6,); assigning a tuple would compile its error message."""
    entry[0], entry[1], entry[2] = start, end, depth
    entry[3], entry[4], entry[5] = parent, is_left, n_constants


@_compile_within
def _split(
    here: _Images,
    weights: _Weights,
    features: _Features,
    n_known: int,
    scratch: _Scratch,
    impurity: float,
    n_drawn: int,
) -> _Split:
    """Find the best split of a node, if any, and partition its images."""
    feature, below, above, n_constants = _best_split(here, weights, features, n_known, scratch)
    if feature < 0:
        return _Split(_UNDEFINED, 0, 0, n_constants, 0, 0.0, 0.0)
    n_left = _partition(here, feature, below, scratch.spare)
    gain, left, right = _gain(here.tags[:n_left], scratch.left, weights, impurity, n_drawn)
    if gain + _EPSILON < 0.0:
        return _Split(_UNDEFINED, 0, 0, n_constants, 0, 0.0, 0.0)
    return _Split(feature, below, above, n_constants, n_left, left, right)


@_compile_within
def _count_classes(tags: Any, total: Any) -> tuple[int, int]:
    """Fill `total` with the weight per class; returns their sum and sum of squares."""
    total[:] = 0
    for i in range(len(tags)):
        total[tags[i] & 255] += tags[i] >> _CLASS_BITS
    weight = squares = 0
    for c in range(len(total)):
        weight += total[c]
        squares += total[c] * total[c]
    return weight, squares


@_compile_within
def _gain(
    tags_left: Any, left: Any, weights: _Weights, impurity: float, n_drawn: int
) -> tuple[float, float, float]:
    """A split's decrease of the tree's impurity, and the impurities of its two sides.

    Fills `left` with the weight per class on the left.
    """
    weight_left, squares_left = _count_classes(tags_left, left)
    squares_right = 0
    for c in range(len(left)):
        right = weights.classes[c] - left[c]  # `** 2` would compile a loop of products
        squares_right += right * right
    # scikit-learn's formulas in its order of operations, so that they round alike.
    w, w_left = float(weights.total), float(weight_left)
    w_right = float(weights.total - weight_left)
    impurity_left = 1.0 - squares_left / (w_left * w_left)
    impurity_right = 1.0 - squares_right / (w_right * w_right)
    gain = (w / n_drawn) * (
        impurity - (w_right / w * impurity_right) - (w_left / w * impurity_left)
    )
    return gain, impurity_left, impurity_right


@_compile_within
def _set_values(weights: _Weights, node: Any, values: Any) -> None:
    """Write a node's weight, and the share of each class (classes,)."""
    node.weighted_n_node_samples = weights.total
    for c in range(len(values)):
        values[c] = weights.classes[c] / float(weights.total)


@_compile_within
def _copy_near(pixels: Any, images: Any, near: Any) -> None:
    """Copy rows together, and renumber `images` by their positions there."""
    for i in range(len(images)):
        _copy(pixels[images[i]], near[i])
        images[i] = i


@_compile_within
def _copy(source: Any, target: Any) -> None:
    """Copy numbers (n,). An assignment of slices would compile its error message, for a second."""
    for i in range(len(source)):
        target[i] = source[i]


@_compile_within
def _partition(here: _Images, feature: int, below: int, spare: Any) -> int:
    """Put values up to `below` first, keeping the order of each side; returns their number."""
    source, is_near, images, tags = here
    n_left = n_right = 0
    for i in range(len(images)):
        value = source[images[i], feature] if is_near else source[feature, images[i]]
        # The left is written in place, never ahead of reading; the right waits in `spare`.
        if value <= below:
            images[n_left], tags[n_left] = images[i], tags[i]
            n_left += 1
        else:
            spare[0, n_right], spare[1, n_right] = images[i], tags[i]
            n_right += 1
    _copy(spare[0, :n_right], images[n_left:])
    _copy(spare[1, :n_right], tags[n_left:])
    return n_left


@_compile_within
def _best_split(
    here: _Images, weights: _Weights, drawing: _Features, n_known: int, scratch: _Scratch
) -> tuple[int, int, int, int]:
    """The feature to split by, the values on both sides of the cut, and the number of constants.

    Features are drawn without replacement until `max_features` were and one of them varies; those
    that are constant among these images are remembered for the nodes below. `features` contains, in
    this order: constants drawn, constants known before, constants found, undrawn and drawn others.
    """
    images, table = here.numbers, scratch.table
    features, constants, max_features, state = drawing
    best, best_feature, best_below, best_above = -np.inf, _UNDEFINED, 0, 0
    rest, n_visited, n_found, n_drawn, n_constants = len(features), 0, 0, 0, n_known
    while rest > n_constants and (n_visited < max_features or n_visited <= n_found + n_drawn):
        n_visited += 1
        place = n_drawn + _next_random(state) % (rest - n_found - n_drawn)
        if place < n_known:  # a constant known before: drawn, and nothing to do
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
        # A varying feature moves to the end, so that it isn't drawn again.
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
    # The known constants in their order again, since the draws of the nodes below depend on it.
    _copy(constants[:n_known], features)
    _copy(features[n_known:n_constants], constants[n_known:])
    return best_feature, best_below, best_above, n_constants


@_compile_within
def _next_random(state: Any) -> Any:
    """The next 31 random bits, by xorshift (Marsaglia, J. Stat. Software 8:14, 2003)."""
    x = np.uint32(state[0]) if state[0] != 0 else np.uint32(1)
    x ^= np.uint32(x << np.uint32(13))
    x ^= np.uint32(x >> np.uint32(17))
    x ^= np.uint32(x << np.uint32(5))
    state[0] = x
    return np.int64(np.uint32(x) & np.uint32(0x7FFFFFFF))


@_compile_within
def _sort(here: _Images, feature: int, scratch: _Scratch) -> bool:
    """Fill `ordered` with the images' sorted keys; returns False if all values are equal."""
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
    # Counting sort: the images per value, where each value starts, then each image to its place.
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
    for value in range(least, most + 1):  # for the next call, and fewer than all 256
        counts[value] = 0
    return True


@_compile_within
def _scan_sorted(
    keys: Any, n: int, weights: _Weights, left: Any, best: float
) -> tuple[float, int, int]:
    """The best cut that beats `best`: its score, and the values below and above it."""
    total, weight, squares = weights
    for c in range(len(left)):
        left[c] = 0
    weight_left = squares_left = 0
    squares_right = squares
    best_below = best_above = 0
    below = keys[0] >> _VALUE_SHIFT
    for i in range(n):
        value = keys[i] >> _VALUE_SHIFT
        # Computed even if there is no cut: an unpredictable branch costs more.
        score = _score(weight_left, squares_left, weight - weight_left, squares_right)
        if (score if value != below else -np.inf) > best:
            best, best_below, best_above = score, below, value
        below = value
        c, w = keys[i] & 255, (keys[i] >> _CLASS_BITS) & _MAX_WEIGHT
        # (l + w)² - l² = w (2 l + w), and on the right r² - (r - w)² likewise.
        squares_left += w * (2 * left[c] + w)
        squares_right -= w * (2 * (total[c] - left[c]) - w)
        left[c] += w
        weight_left += w
    return best, best_below, best_above


@_compile_within
def _tabulate(here: _Images, feature: int, table: Any) -> tuple[int, int]:
    """Add the weight per class and value to `table`; returns the least and greatest value."""
    source, is_near, images, tags = here
    least, most = 255, 0
    for i in range(len(images)):
        value = source[images[i], feature] if is_near else source[feature, images[i]]
        least, most = min(least, value), max(most, value)
        table[(tags[i] & 255) << 8 | value] += tags[i] >> _CLASS_BITS
    return least, most


@_compile_within
def _scan_table(
    table: Any, least: int, most: int, node: _Weights, sums: Any, best: float
) -> tuple[float, int, int]:
    """As :func:`_scan_sorted`, from the weight per class and value in `least` … `most`.

    Empties `table`. `sums`, float64 (4, 256), are per value, for all up to it: weight, squares on
    the left, on the right, and score. The sums are integers below 2**53, so they are exact.
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
        class_weight = float(total[c])
        for i in range(n):
            w = float(counts[i])
            weights[i] += w
            lefts[i] += w * w
            rights[i] += (class_weight - w) * (class_weight - w)
        counts[:] = 0
    all_weight = float(node.total)
    for i in range(n):
        w, other = weights[i], all_weight - weights[i]
        scores[i] = -other * (1.0 - rights[i] / (other * other)) - w * (1.0 - lefts[i] / (w * w))
    below, above = -1, -1
    for i in range(n - 1):  # a cut at the greatest value leaves nothing on the right
        if scores[i] > best:
            best, below = scores[i], i
    if below < 0:
        return best, 0, 0
    above = below + 1
    while weights[above] == weights[below]:
        above += 1
    return best, least + below, least + above


@_compile_within
def _score(weight_left: int, squares_left: int, weight_right: int, squares_right: int) -> float:
    """The purity of two children: the negative sum of weights times Gini impurities."""
    w_left, w_right = float(weight_left), float(weight_right)
    impurity_left = 1.0 - squares_left / (w_left * w_left)
    impurity_right = 1.0 - squares_right / (w_right * w_right)
    return -w_right * impurity_right - w_left * impurity_left
