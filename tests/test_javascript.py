"""javascript.py: modules joined in the order in which they need each other."""

from __future__ import annotations

import shutil
import subprocess
from graphlib import CycleError
from pathlib import Path

import pytest

from fittingroom.javascript import inline_modules

MODULES = {
    "entry.js": (
        'import { double } from "./double.js";\nimport {\n  SIX,\n  Box,\n} from "./values.js";\n\n'
        "console.log(new Box(double(SIX)).content);\n"
    ),
    "double.js": (
        'import { TWO } from "./values.js";\n\n// export is a word here\n'
        "export function double(number) {\n  return TWO * number;\n}\n"
    ),
    "values.js": (
        "export const TWO = 2;\nexport const SIX = 3 * TWO;\n"
        "export class Box {\n  constructor(content) { this.content = content; }\n}\n"
    ),
    "unused.js": "throw new Error();\n",
}


def written(folder: Path, **changed: str) -> Path:
    """A folder with `MODULES`, of which some are changed; their names are without `.js`."""
    for name, text in {**MODULES, **{f"{key}.js": text for key, text in changed.items()}}.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_each_module_comes_once_and_after_what_it_imports(tmp_path: Path) -> None:
    script = inline_modules(written(tmp_path), "entry.js")
    assert script.count("const TWO") == 1
    assert script.index("const TWO") < script.index("function double") < script.index("console")
    assert "import" not in script
    assert "export" not in script.replace("// export is a word here", "")
    assert "throw" not in script


@pytest.mark.skipif(shutil.which("node") is None, reason="node isn't installed")
def test_the_script_does_what_the_modules_do(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "joined.js").write_text(inline_modules(tmp_path, "entry.js"), "utf-8")
    printed = [
        subprocess.run(
            ["node", tmp_path / name], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for name in ("entry.js", "joined.js")
    ]
    assert printed == ["12\n", "12\n"]


def test_a_module_that_is_missing(tmp_path: Path) -> None:
    written(tmp_path, entry='import { a } from "./absent.js";\n')
    with pytest.raises(FileNotFoundError, match=r"absent\.js"):
        inline_modules(tmp_path, "entry.js")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import { THREE } from "./values.js";\n', "'THREE', which values.js doesn't export"),
        (
            'import { TWO } from "./values.js";\nconst SIX = 6;\n',
            "entry.js declares 'SIX'|SIX.*too",
        ),
        ('import { TWO as two } from "./values.js";\n', "'as', which values.js doesn't export"),
        ('import * as values from "./values.js";\n', "can't be joined"),
        ('import { TWO } from "https://example.com/values.js";\n', "can't be joined"),
        ("export default 3;\n", "can't be joined"),
        ("export { one };\n", "can't be joined"),
        ('const later = await import("./values.js");\n', "can't be joined"),
        ('const tag = "</SCRIPT>";\n', "can't be joined"),
    ],
)
def test_what_can_not_be_joined_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        inline_modules(written(tmp_path, entry=text), "entry.js")


def test_modules_that_import_each_other(tmp_path: Path) -> None:
    values = 'import { double } from "./double.js";\n' + MODULES["values.js"]
    with pytest.raises(CycleError):
        inline_modules(written(tmp_path, values=values), "entry.js")
