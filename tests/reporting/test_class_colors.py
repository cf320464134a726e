from __future__ import annotations

import pytest

from fittingroom.reporting.class_colors import CLASS_COLORS


def luminance(color: str) -> float:
    """The relative luminance of WCAG 2.1 of "#rrggbb"."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", CLASS_COLORS)
def test_colours_have_contrast_on_light_and_on_dark_pages(color: str) -> None:
    light, own, dark = (luminance(each) + 0.05 for each in ("#ffffff", color, "#14171c"))
    assert min(light / own, own / dark) > 1.8


def test_no_colour_occurs_twice() -> None:
    assert len(set(CLASS_COLORS)) == len(CLASS_COLORS) == 10
