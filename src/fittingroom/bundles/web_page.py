"""A saved model as one HTML file that runs it: a drawing or a picture in, probabilities out."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.onnx import to_onnx
from fittingroom.bundles.web_check import WEB, PageParity, page_parity
from fittingroom.bundles.web_engine import find_engine
from fittingroom.bundles.web_graph import to_steps
from fittingroom.data.catalog import row_of_content
from fittingroom.data.rendering import Preparation
from fittingroom.errors import BundleError
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.metrics import accuracy
from fittingroom.javascript import inline_modules

if TYPE_CHECKING:
    from fittingroom.bundles.hub import Predictions

_HINTS: dict[Preparation, str] = {
    "garment": "Draw a garment: an outline or a silhouette",
    "digit": "Draw a digit",
    "image": "Draw something",
    "image-on-black": "Draw something",
}
_FOUND: dict[Preparation, str] = {
    "garment": "The object is what differs from the colours of the picture’s border. It is made "
    "light on black, trimmed, scaled and centred; of a drawing, what the lines enclose counts as "
    "cloth.",
    "digit": "Ink is what differs from the ground. It is made light on black, fitted into a box "
    "and centred by its mass.",
    "image": "The whole picture is made grey and scaled.",
    "image-on-black": "The whole picture is laid on black, made grey and scaled.",
}
_SIMPLER = (
    " This is the simple way. “fittingroom predict” looks for the object with more care and from "
    "several views, so that its answers for photos can differ."
)


def write_web(
    bundle: Bundle,
    file: Path,
    images: NDArray[np.uint8] | None,
    test: Predictions | None = None,
) -> PageParity | None:
    """Write the page; returns how its predictions compare with the bundle's.

    Its weights are 16-bit integers, or float32 if probabilities would differ too much.

    Parameters
    ----------
    images : (n, height, width) to compare predictions of; None skips that
    test : predictions of the official test split, for the page

    Returns
    -------
    None if nothing was compared: `images` is None, or there is neither Node.js nor Chromium

    Raises
    ------
    BundleError : the page can't run such a model, or its predictions differ from the bundle's
    """
    graph, compared = _verified(bundle, images)
    dark = bundle.preparation != "image" or (images is not None and _are_dark(images))
    html = render_web(bundle, graph, dark=dark, compared=compared, test=test)
    file.write_bytes(html.encode())  # with the line ends that the policy's hashes are of
    return compared


def _verified(
    bundle: Bundle, images: NDArray[np.uint8] | None
) -> tuple[dict[str, Any], PageParity | None]:
    """The graph that a page holds, and how its predictions compare, if they can be."""
    model = to_onnx(bundle)
    try:
        graph = to_steps(model)
    except BundleError as error:
        raise BundleError(
            f"{bundle.facts.model} can't be exported as a web page: {error}; a page runs "
            "logistic, linear-svm and every network of the catalogue but wide-resnet."
        ) from error
    engine = None if images is None else find_engine()
    if engine is None or images is None:
        return graph, None
    compared = page_parity(graph, bundle, images, engine)
    if not compared.holds:
        graph = to_steps(model, exact=True)
        compared = page_parity(graph, bundle, images, engine)
    if not compared.holds:
        raise BundleError(
            f"in {compared.engine} the page's probabilities differ from the bundle's by up to "
            f"{compared.parity.largest_difference:.1g}; nothing was written."
        )
    return graph, compared


def render_web(
    bundle: Bundle,
    graph: dict[str, Any],
    *,
    dark: bool,
    compared: PageParity | None = None,
    test: Predictions | None = None,
) -> str:
    """The page's HTML; equal arguments give equal text.

    Parameters
    ----------
    graph : see `to_steps`
    dark : whether the ground of a drawing is dark
    compared : what the page says of its own predictions
    test : predictions of the official test split
    """
    style = (WEB / "page.css").read_text("utf-8")
    script = inline_modules(WEB, "page.js")
    model = {
        "graph": graph,
        "classes": bundle.class_names,
        "shape": bundle.facts.image_shape,
        "preparation": bundle.preparation,
        "dark": dark,
    }
    environment = Environment(
        loader=PackageLoader("fittingroom.bundles", "web"),
        autoescape=True,  # names of models and classes come from others
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        facts=_facts(bundle, compared, test) | {"dark": dark},
        policy=_policy(style, script),
        css=Markup(style),
        script=Markup(script),
        # Within a <script> only "<" can mean something else than in JSON.
        model=Markup(json.dumps(model, ensure_ascii=False).replace("<", "\\u003c")),
    )


def _are_dark(images: NDArray[np.uint8]) -> bool:
    """Whether images (n, height, width) show something light on a dark ground."""
    rows, columns = images[:1000, [0, -1]], images[:1000, :, [0, -1]]
    return bool(np.median(np.concatenate([rows.ravel(), columns.ravel()])) < 128)


def _policy(style: str, script: str) -> str:
    """The page's Content-Security-Policy: its own style and script, pictures that are given."""

    def hashed(text: str) -> str:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"'sha256-{digest}'"

    return (
        f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _facts(bundle: Bundle, compared: PageParity | None, test: Predictions | None) -> dict[str, Any]:
    facts, preparation = bundle.facts, bundle.preparation
    height, width = facts.image_shape
    row = row_of_content(facts.data.sha256)
    data = row.title if row else facts.data.name
    return {
        "model": facts.model,
        "data": data,
        "class_names": bundle.class_names,
        "height": height,
        "width": width,
        "hint": _HINTS[preparation],
        "takes_whole": preparation in ("image", "image-on-black"),
        "version": metadata.version("fittingroom"),
        "about": [
            ("Model", f"{facts.model}, fitted on {facts.data.images:,} images of {data}."),
            ("Classes", ", ".join(bundle.class_names) + "."),
            ("Accuracy", _accuracy(bundle, test)),
            ("Probabilities", _calibration(bundle)),
            ("From picture to image", _preparation(preparation)),
            ("Check", _check(compared)),
        ],
    }


def _accuracy(bundle: Bundle, test: Predictions | None) -> str:
    if test is not None:
        share, n = accuracy(*test), len(test[1])
        low, high = wilson(share * n, n).bounds
        return (
            f"{share:.2%} of {n:,} test images (95% interval {low:.2%} to {high:.2%}). Pictures "
            "from elsewhere are harder."
        )
    if validation := bundle.facts.validation:
        return (
            f"{validation.accuracy:.2%} of {validation.images:,} validation images; the test "
            "accuracy isn’t known. Pictures from elsewhere are harder."
        )
    return "Not known."


def _calibration(bundle: Bundle) -> str:
    if bundle.facts.calibrated is None:
        return "As the model gives them, not calibrated."
    temperature = bundle.facts.calibrated.temperature
    return (
        f"Calibrated on validation images (temperature {temperature:.2f}): of the answers with "
        "80%, about four in five are right, on images like the data’s."
    )


def _preparation(preparation: Preparation) -> str:
    whole = preparation in ("image", "image-on-black")
    return _FOUND[preparation] + ("" if whole else _SIMPLER)


def _check(compared: PageParity | None) -> str:
    if compared is None:
        return "Not verified: this page’s predictions weren’t compared with the model’s own."
    parity = compared.parity
    most = max(1, math.ceil(1e4 * parity.largest_difference))
    return (
        f"Before this file was written, its predictions of {parity.images:,} test images were "
        f"compared with the model’s own in {compared.engine}: {parity.labels_equal:,} labels are "
        f"equal, and no probability differs by more than {most / 1e4:.4f}."
    )
