"""Compare what a page predicts with what its bundle does, in something that runs JavaScript."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.parity import Parity, compare
from fittingroom.bundles.web_engine import Engine
from fittingroom.errors import BundleError
from fittingroom.javascript import inline_modules

#: Probabilities may differ by this, and so labels only where two classes are nearly tied.
TOLERANCE = 1e-3
#: Images that are compared, or fewer if they take longer than so many seconds.
IMAGES, SECONDS = 1000, 180.0
#: The folder of the pages' modules.
WEB = files(__package__) / "web"


class PageParity(NamedTuple):
    """How far a page's predictions agree with its bundle's, and what ran the page."""

    parity: Parity
    engine: str

    @property
    def holds(self) -> bool:
        return self.parity.largest_difference <= TOLERANCE


def page_parity(
    graph: dict[str, Any], bundle: Bundle, images: NDArray[np.uint8], engine: Engine
) -> PageParity:
    """Compare predictions of images (n, height, width), evenly chosen if there are many.

    Parameters
    ----------
    graph : see `to_steps`

    Raises
    ------
    BundleError : the engine can't run the page's script
    """
    chosen = images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int)]
    pixels = base64.b64encode(np.ascontiguousarray(chosen).tobytes()).decode()
    arguments = (graph, pixels, chosen[0].size, SECONDS)
    expression = f"predictAll({', '.join(json.dumps(each) for each in arguments)})"
    # The script is part of an HTML page where Chromium runs it.
    answer = engine.evaluate(inline_modules(WEB, "check.js"), expression.replace("<", "\\u003c"))
    theirs = np.array(answer, np.float64)  # null, JSON's NaN, becomes NaN
    if theirs.shape[1:] != (len(bundle.class_names),):
        raise BundleError(f"{engine.name} gives no probabilities.")
    ours = bundle.predict_proba(chosen[: len(theirs)])
    return PageParity(compare(ours, theirs), engine.name)
