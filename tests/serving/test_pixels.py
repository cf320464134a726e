"""pixels.py: the same as `json` gives, or an error where it has one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fittingroom.data.dataset import Dataset
from fittingroom.serving.pixels import SHORT, read_json

LONG = ",".join(["0"] * SHORT)


def plain(value: object) -> object:
    """With lists in place of arrays."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n\t", " : ")])
def test_images_are_read_as_arrays(separators: tuple[str, str], small: Dataset) -> None:
    pixels = small.test.images[:3].ravel()
    asked = {"id": "7", "inputs": [{"name": "images", "data": pixels.tolist()}], "outputs": []}
    found = read_json(json.dumps(asked, separators=separators).encode())
    assert found["inputs"][0]["data"].dtype == np.uint8
    assert plain(found) == asked


@pytest.mark.parametrize(
    "text",
    [
        f'{{"inputs": [{{"parameters": {{"data": [{LONG}]}}, "data": 1}}]}}',
        f'{{"data": [{LONG}], "inputs": [{{"data": null}}]}}',
        f'{{"id": "\\"data\\": [{LONG}]", "inputs": [{{"data": null}}]}}',
        f'{{"\\"data": [{LONG}], "inputs": [{{"data": null}}]}}',
        f'{{"inputs": [{{"name": 1, "data": [{LONG}]}}, {{"data": [{LONG}]}}]}}',
        f'{{"inputs": [{{"data": [{LONG}], "data": null}}]}}',
        f'{{"inputs": [{{"data": null, "data": [{LONG}]}}]}}',
        f'{{"inputs": [{{"data": [[{LONG}], [{LONG}]]}}]}}',
        f'[{{"data": [{LONG}]}}]',
        f'{{"inputs": {{"data": [{LONG}]}}}}',
    ],
)
def test_other_places_of_an_array(text: str) -> None:
    assert plain(read_json(text.encode())) == json.loads(text)


@pytest.mark.parametrize(
    "numbers",
    [
        *("1,,2", ",1", "1,", "1 2", "01", "00", "1.5", "-1", "256", "1e2", "9" * 5000, "+1", "a"),
        *("1\x002", "1;2", "[1]", "NaN", "true", ""),
    ],
)
@pytest.mark.parametrize("place", ["{},{}", "{1},{0}", "{1},{0},{1}"])
def test_what_is_not_an_array_of_pixels_is_left_to_json(numbers: str, place: str) -> None:
    text = f'{{"inputs": [{{"data": [{place.format(numbers, LONG)}]}}]}}'.encode()
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            read_json(text)
    else:
        assert str(plain(read_json(text))) == str(expected)  # NaN isn't equal to itself


@settings(max_examples=300, deadline=None)
@given(st.text('0123456789, \n[]"da:{}', max_size=40), st.integers(0, 2 * SHORT))
def test_a_changed_text_is_read_as_by_json(change: str, where: int) -> None:
    text = f'{{"inputs": [{{"data": [{LONG}]}}]}}'
    changed = (text[:where] + change + text[where:]).encode()
    try:
        expected = json.loads(changed)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            read_json(changed)
    else:
        assert plain(read_json(changed)) == expected
