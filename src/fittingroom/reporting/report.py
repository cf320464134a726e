"""`Report`: a result as text, as JSON, as a page and as files."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from fittingroom.errors import FittingroomError, ReportError, UsageError
from fittingroom.files import replace_file
from fittingroom.formatting import short_path

#: The formats of files, which are the endings of their names, and those that are usual.
FORMATS, USUAL = ("html", "md", "csv", "json"), "html,json"


class Written(NamedTuple):
    """The files that could be written, and what stood in the way of the others."""

    files: list[Path]
    problems: list[FittingroomError]


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """A result as it is shown and kept. Nothing is computed before it is asked for.

    Attributes
    ----------
    text, json : make what is printed, for people and for programs
    files : by name, what makes the text of each file; the ending of the name is its format
    always : names of files that are written whatever the formats
    compute : makes `result`
    """

    text: Callable[[], str]
    json: Callable[[], str]
    compute: Callable[[], Any]
    files: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    always: Collection[str] = ()

    @cached_property
    def result(self) -> Any:
        """What it shows: of saved runs an `Analysis`, else the result that it was made of."""
        return self.compute()

    def html(self) -> str:
        """The page. The same result gives the same text, to the byte.

        Raises UsageError for a result without a page.
        """
        for name, text in self.files.items():
            if name.endswith(".html"):
                return text()
        raise UsageError("this result has no page.")

    def save(self, folder: Path | str, formats: str = USUAL) -> list[Path]:
        """Write the files of some formats into a folder, each aside and renamed into place.

        Parameters
        ----------
        folder : must exist
        formats : html, md, csv, json, or several of them, separated by commas

        Returns
        -------
        The files that were written.

        Raises
        ------
        UsageError : there is no such format
        ReportError, StoreError : a file can't be made or written; every other file is there
        """
        written = self.write(Path(folder), parse_formats(formats))
        if written.problems:
            raise written.problems[0]
        return written.files

    def write(self, folder: Path, formats: Collection[str]) -> Written:
        """Make and write the files of some formats; what stops one takes no other away."""
        written = Written([], [])
        for name, text in self.files.items():
            if name not in self.always and Path(name).suffix[1:] not in formats:
                continue
            try:
                written.files.append(replace_file(folder / name, text()))
            except FittingroomError as error:
                written.problems.append(error)
            except Exception as error:  # a fault of ours in one file must not stop the others
                written.problems.append(_fault(folder / name, error))
        return written

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html())}" title="report" '
            'style="width:100%;height:48rem;border:0"></iframe>'
        )


def parse_formats(text: str) -> frozenset[str]:
    """`html,csv` as a set. Raises UsageError."""
    formats = frozenset(name.strip().lower() for name in text.split(",") if name.strip())
    if not formats or not formats <= set(FORMATS):
        raise UsageError(f"--format takes {', '.join(FORMATS)} or several of them, not {text!r}.")
    return formats


def _fault(path: Path, error: Exception) -> ReportError:
    """Why a file couldn't be made in one sentence, which says where in the code that was."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return ReportError(
        f"{short_path(path)} can't be made: {type(error).__name__} in "
        f"{Path(where.filename).name}, line {where.lineno} ({error}); this is a bug in "
        "Fittingroom; no other result is lost."
    )
