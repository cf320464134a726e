"""Draw the pictures of the README from what was measured.

    python benchmarks/pictures.py claims docs/pictures/claims.svg
    python benchmarks/pictures.py page report.html docs/pictures/page.webp

The first draws benchmarks/results/claims.json; the second is a photo of a page in Chromium.
"""

from __future__ import annotations

import argparse
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import record
from matplotlib.figure import Figure

from fittingroom.bench.claims.claim_file import claim_names, load_claims
from fittingroom.files import replace_file
from fittingroom.reporting.style import BLUE, GRID, ORANGE, STYLE, label_rows

_ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "frameon": False}
#: Pixels of a page's picture.
PAGE = (1200, 1100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("of", choices=["claims", "page"])
    parser.add_argument("page", type=Path, nargs="?", help="the page that is photographed")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.of == "page":
        replace_file(options.out, photograph(options.page))
        return
    found = json.loads((record.RESULTS / "claims.json").read_text("utf8"))
    replace_file(options.out, svg(draw_claims(found["claims"])))


def accuracies(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The claims of an accuracy that could be checked, the most overstated first."""
    kinds = {claim.id: claim.kind for claim in load_claims(claim_names())}
    checked = [
        claim
        for claim in claims
        if kinds[claim["id"]] == "accuracy" and claim["verdict"] != "cannot-be-checked"
    ]
    return sorted(checked, key=lambda claim: claim["honest"]["accuracy"] - claim["claimed"])


def draw_claims(claims: list[dict[str, Any]]) -> Figure:
    """Each claimed accuracy beside the honest one with its interval, see docs/verify.md."""
    rows = accuracies(claims)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 1.2 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, claim in enumerate(rows):
            claimed, honest = 100 * claim["claimed"], 100 * claim["honest"]["accuracy"]
            low, high = (100 * end for end in claim["honest"]["interval"] or [honest / 100] * 2)
            axes.plot([claimed, honest], [y, y], color=GRID, linewidth=5, solid_capstyle="butt")
            axes.plot([low, high], [y, y], color=BLUE, linewidth=2.2, solid_capstyle="butt")
            (honest_mark,) = axes.plot(honest, y, "o", color=BLUE, markersize=6)
            (claimed_mark,) = axes.plot(claimed, y, "D", color=ORANGE, markersize=5)
        most = rows[0]
        for value, color in ((most["claimed"], ORANGE), (most["honest"]["accuracy"], BLUE)):
            axes.annotate(
                f"{100 * value:.1f}%", (100 * value, 0), (0, 9), textcoords="offset points",
                ha="center", color=color, fontweight="bold",
            )  # fmt: skip
        label_rows(axes, [claim["id"] for claim in rows])
        axes.set_ylim(len(rows) - 0.4, -1.1)
        axes.set_xlabel("accuracy, %")
        axes.legend(
            [claimed_mark, honest_mark],
            ["published", "honest re-run of the recipe, and where one more run would lie"],
            **_ABOVE,
        )
    return figure


def svg(figure: Figure) -> bytes:
    """A figure as a file of its own, on white; the same figure always gives the same bytes."""
    settings: dict[Any, Any] = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": "fittingroom"}
    with mpl.rc_context(settings), BytesIO() as buffer:
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=no_metadata, facecolor="white")
        return buffer.getvalue()


def photograph(page: Path) -> bytes:
    """The top of a page in Chromium, as WebP."""
    from PIL import Image
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options)
    try:
        size = dict(zip(("width", "height"), PAGE, strict=True))
        metrics = {**size, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.resolve().as_uri())
        shown = browser.get_screenshot_as_png()
    finally:
        browser.quit()
    with Image.open(BytesIO(shown)) as image, BytesIO() as buffer:
        image.convert("RGB").save(buffer, "WEBP", quality=82)
        return buffer.getvalue()


if __name__ == "__main__":
    main()
