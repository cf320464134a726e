"""Run JavaScript in Node.js or in Chromium, whichever is installed."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fittingroom.errors import BundleError

#: Seconds after which a script is stopped.
PATIENCE = 900.0
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ANSWER = """
const answer = JSON.stringify({expression});
if (globalThis.document) document.querySelector("pre").textContent = answer;
else console.log(answer);
"""
_PAGE = """<!doctype html><meta charset="utf-8"><pre></pre>
<script>
const show = (error) => { document.querySelector("pre").textContent = error.message; };
addEventListener("error", show);
</script>
<script type="module">{script}</script>
"""


@dataclass(frozen=True)
class Engine:
    """Something that runs JavaScript.

    Attributes
    ----------
    name : for people
    program : its path
    command : from its program and a script to what it prints
    """

    name: str
    program: str
    command: Callable[[str, str], subprocess.CompletedProcess[str]]

    def evaluate(self, script: str, expression: str) -> Any:
        """The value of an expression after a script without imports, by way of JSON.

        Raises
        ------
        BundleError : it throws, or gives no answer in time
        """
        text = script + _ANSWER.replace("{expression}", expression)
        try:
            ended = self.command(self.program, text)
        except subprocess.TimeoutExpired as error:
            raise BundleError(f"{self.name} gave no answer in {PATIENCE:g} seconds.") from error
        except OSError as error:
            raise BundleError(f"{self.name} can't be started ({error!s:.200}).") from error
        try:
            return json.loads(ended.stdout)
        except ValueError as error:
            said = re.search(r"\w*Error: .*", f"{ended.stdout}\n{ended.stderr}")
            reason = said[0] if said else f"no answer, exit code {ended.returncode}"
            raise BundleError(f"{self.name} can't run the script ({reason:.200}).") from error


def find_engine() -> Engine | None:
    """Node.js, or else Chromium, if one is on the path."""
    if node := shutil.which("node"):
        return Engine("Node.js", node, _by_node)
    chromium = next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    return Engine("Chromium", chromium, _by_chromium) if chromium else None


def _by_node(program: str, script: str) -> subprocess.CompletedProcess[str]:
    return _run([program, "--input-type=module", "-"], script)


def _by_chromium(program: str, script: str) -> subprocess.CompletedProcess[str]:
    """Chromium shows a page that holds the script, and prints it as it has become."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder) / "page.html"
        page.write_text(_PAGE.replace("{script}", script), encoding="utf-8")
        profile = f"--user-data-dir={folder}/profile"
        command = [program, "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", profile]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # it refuses to start as root with one
        ended = _run([*command, "--dump-dom", page.as_uri()], None)
    shown = re.search(r"<pre>(.*?)</pre>", ended.stdout, re.DOTALL)
    ended.stdout = html.unescape(shown[1]) if shown else ""
    return ended


def _run(command: list[str], given: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )
