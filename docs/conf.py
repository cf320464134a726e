"""How Sphinx builds the pages and the reference: `make docs`."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import Any

project = "Fittingroom"
copyright = "the Fittingroom authors"
release = version = version_of("fittingroom")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_extra_path = ["example.html"]
html_theme = "furo"
html_title = "Fittingroom"

# A word in backticks is code, as everywhere else in this repository.
default_role = "code"
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "ignore-module-all": True}
napoleon_google_docstring = False
napoleon_use_rtype = False

#: A parameter or an attribute with its description behind a colon, as our docstrings have them.
DESCRIBED = re.compile(r"^(?P<name>[\w*]+(?:, [\w*]+)*|[\w.]+) : (?P<text>.+)$", re.MULTILINE)


def put_descriptions_below(
    app: Any, what: str, name: str, object: Any, options: Any, lines: list[str]
) -> None:
    """Numpydoc takes what stands behind the colon for a type, and the next line for the text."""
    text = "\n".join(lines)
    lines[:] = DESCRIBED.sub(r"\g<name>\n    \g<text>", text).split("\n")


def is_skipped(app: Any, what: str, name: str, object: Any, skip: bool, options: Any) -> bool:
    """scikit-learn gives every estimator methods whose texts refer to pages of its own."""
    return skip or name.endswith("_request") or name == "get_metadata_routing"


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", put_descriptions_below, priority=400)
    app.connect("autodoc-skip-member", is_skipped)
