from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.feature import hog

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.models.hog import HogFeatures
from fittingroom.models.making import make_classifier


def test_descriptors_equal_scikit_images(small: Dataset) -> None:
    images = small.test.images[:20] / 255
    flat = images.reshape(20, -1)
    expected = [
        hog(i, pixels_per_cell=(4, 4), cells_per_block=(7, 7), transform_sqrt=True) for i in images
    ]
    ours = HogFeatures(second_grid=False).fit_transform(flat)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-6)

    options = HogFeatures(orientations=6, cell=7, block=2, square_root=False, second_grid=False)
    expected = [
        hog(i, orientations=6, pixels_per_cell=(7, 7), cells_per_block=(2, 2)) for i in images
    ]
    ours = options.fit_transform(flat)  # of nine blocks, each of the length 1 in scikit-image
    np.testing.assert_allclose(ours, np.array(expected) / 3, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-3)


def test_an_svm_learns_from_images_of_any_size(small: Dataset) -> None:
    """On 64×48 pixels there are 45 blocks; a kernel made for one would find nothing alike."""
    two = np.isin(small.train.labels, (0, 9))
    images, labels = small.train.images[two][:120], small.train.labels[two][:120]
    large = np.stack([np.asarray(Image.fromarray(image).resize((64, 48))) for image in images])
    model = make_classifier("hog-svm").fit(large[:80], labels[:80])
    assert (model.predict(large[80:]) == labels[80:]).mean() > 0.9


def test_the_second_grid_is_between_the_cells_of_the_first(small: Dataset) -> None:
    images = small.test.images[:20] / 255
    both = HogFeatures().fit_transform(images.reshape(20, -1))
    first, second = both[:, : 7 * 7 * 9], both[:, 7 * 7 * 9 :]
    alone = HogFeatures(second_grid=False).fit_transform(images.reshape(20, -1))
    np.testing.assert_array_equal(first, alone)
    framed = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    expected = HogFeatures(second_grid=False).fit_transform(framed.reshape(20, -1))
    np.testing.assert_array_equal(second, expected)


def test_a_block_is_no_larger_than_the_image(small: Dataset) -> None:
    small_images = small.test.images[:5, :12, :8] / 255
    features = HogFeatures(second_grid=False, image_shape=(12, 8)).fit_transform(
        small_images.reshape(5, -1)
    )
    assert features.shape == (5, 3 * 2 * 9)  # 12×8 pixels are 3×2 cells


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="784 pixels aren't 20×30 images"):
        HogFeatures(image_shape=(20, 30)).fit(np.zeros((1, 784)))
    with pytest.raises(InputError, match="600 pixels aren't square images"):
        HogFeatures().fit(np.zeros((1, 600)))
    with pytest.raises(InputError, match="3×100 pixels are smaller than a cell of 4"):
        HogFeatures(image_shape=(3, 100)).fit(np.zeros((1, 300)))


def test_tiny_images_are_described_if_their_shape_is_given() -> None:
    rows = np.random.default_rng(0).uniform(size=(4, 16))
    features = HogFeatures(image_shape=(4, 4)).fit_transform(rows)
    assert features.shape == (4, 9 + 2 * 2 * 9)  # one cell, and four of the second grid


def test_rows_that_are_not_images_stay_unchanged() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 10))
    np.testing.assert_allclose(HogFeatures().fit_transform(rows), rows, atol=1e-6)
