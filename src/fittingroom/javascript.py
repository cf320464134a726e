"""Join JavaScript modules to one script, for a page that is a single file.

A browser doesn't import modules from `file:`, so their text has to be in the page itself. They are
written so that little has to change: named imports of files beside them, one declaration for each
exported name, and no top-level name twice.
"""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from importlib.resources.abc import Traversable

# A statement begins at the start of its line; the names may be spread over several lines.
_IMPORT = re.compile(r'^import \{([\w$,\s]*)\} from "\./([\w-]+\.js)";[^\S\n]*\n?', re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?=(?:async function\*?|function\*?|class|const|let) )", re.MULTILINE
)
_DECLARATION = re.compile(
    r"^(export )?(?:async )?(?:function\*?|class|const|let) ([\w$]+)", re.MULTILINE
)


def inline_modules(folder: Traversable, entry: str) -> str:
    """The text of an ES module and of all that it imports, as one script without imports.

    Each module comes once, after those that it imports. The script belongs into
    ``<script type="module">``, where top-level names stay the page's own.

    Parameters
    ----------
    folder : holds the modules
    entry : name of the module's file

    Raises
    ------
    FileNotFoundError : a module is missing
    ValueError : a module has other imports or exports than those above, imports what isn't
        exported, or holds ``</script``; a name is declared at the top of two modules; imports form
        a cycle
    """
    texts: dict[str, str] = {}
    imports: dict[str, set[str]] = {}
    pending = [entry]
    while pending:
        name = pending.pop()
        if name in texts:
            continue
        texts[name] = folder.joinpath(name).read_text("utf-8")
        imports[name] = {match[2] for match in _IMPORT.finditer(texts[name])}
        pending += sorted(imports[name])
    _check_names(texts)
    order = TopologicalSorter({name: sorted(imports[name]) for name in sorted(imports)})
    return "\n".join(_without_statements(name, texts[name]) for name in order.static_order())


def _check_names(texts: dict[str, str]) -> None:
    """Raise ValueError for a name that two modules declare, or that one imports in vain."""
    homes: dict[str, str] = {}
    exported: dict[str, set[str]] = {name: set() for name in texts}
    for file, text in texts.items():
        for match in _DECLARATION.finditer(text):
            name = match[2]
            if name in homes:
                raise ValueError(f"{file} declares {name!r}, which {homes[name]} declares too.")
            homes[name] = file
            if match[1]:
                exported[file].add(name)
    for file, text in texts.items():
        for match in _IMPORT.finditer(text):
            wanted = {name for name in re.split(r"[\s,]+", match[1]) if name}
            if unknown := wanted - exported[match[2]]:
                raise ValueError(
                    f"{file} imports {min(unknown)!r}, which {match[2]} doesn't export."
                )


def _without_statements(file: str, text: str) -> str:
    """A module's text without imports and the word `export`."""
    text = _EXPORT.sub("", _IMPORT.sub("", text))
    if left := re.search(
        r"^\s*(?:import|export)\b.*|\bimport\s*[(.].*|</script", text, re.I | re.M
    ):
        raise ValueError(f"{file} can't be joined with others: {left[0].strip()[:100]!r}.")
    return text.strip() + "\n"
