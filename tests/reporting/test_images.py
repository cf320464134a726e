from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from fittingroom.data.dataset import Dataset
from fittingroom.reporting import images


def test_a_picture_holds_every_pixel_and_an_escaped_label(small: Dataset) -> None:
    image = small.train.images[0]
    uri = images.data_uri(image)
    decoded = Image.open(BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    np.testing.assert_array_equal(np.asarray(decoded), image)
    assert images.picture(image, 'a "b"') == (
        f'<img class="pixels" src="{uri}" alt="a &#34;b&#34;">'
    )
    assert images.picture(image, "a", size=84).endswith(' alt="a" width="84">')


def test_values_are_scaled_to_grey() -> None:
    assert images.rescale(np.array([[1.0, 2.0], [3.0, 5.0]])).tolist() == [[0, 64], [128, 255]]
    assert images.rescale(np.ones((2, 2))).tolist() == [[0, 0], [0, 0]]
