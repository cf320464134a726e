"""`Report`: a result as text, JSON, a page and files."""

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

#: The file formats, and the default ones.
FORMATS, DEFAULT_FORMATS = ("html", "md", "csv", "json", "latex"), "html,json"
#: The formats of file name extensions that aren't called like theirs.
_EXTENSIONS = {"tex": "latex", "pdf": "latex"}


class WrittenFiles(NamedTuple):
    """The files that were written, and the errors of the others."""

    files: list[Path]
    problems: list[FittingroomError]


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """A result in every form in which it is shown or written; each is computed on demand.

    Attributes
    ----------
    text, json : return what is printed, for people and for programs
    wide : returns the text with all columns of a table; None if `text` has them
    files : for each file name, a function that returns its content; its extension says the format
    always : names of files that are written whatever the formats
    compute : returns `result`
    """

    text: Callable[[], str]
    json: Callable[[], str]
    compute: Callable[[], Any]
    wide: Callable[[], str] | None = None
    files: Mapping[str, Callable[[], str | bytes]] = field(default_factory=dict)
    always: Collection[str] = ()

    @cached_property
    def result(self) -> Any:
        """The result that is reported; for saved runs, their `Analysis`."""
        return self.compute()

    def html(self) -> str:
        """The page; equal results give byte-identical text.

        Raises UsageError if the result has no page.
        """
        for name, content in self.files.items():
            if name.endswith(".html"):
                return str(content())
        raise UsageError("this result has no page.")

    def save(self, folder: Path | str, formats: str = DEFAULT_FORMATS) -> list[Path]:
        """Write the files of the given formats into a folder, each replaced atomically.

        Parameters
        ----------
        folder : must exist
        formats : one or more of html, md, csv, json and latex, separated by commas

        Returns
        -------
        The files that were written.

        Raises
        ------
        UsageError : a format is unknown
        ReportError, StoreError : a file can't be made or written; all others are written
        """
        written = self.write(Path(folder), parse_formats(formats))
        if written.problems:
            raise written.problems[0]
        return written.files

    def write(self, folder: Path, formats: Collection[str]) -> WrittenFiles:
        """Write the files of the given formats; a file that fails doesn't stop the others."""
        written = WrittenFiles([], [])
        for name, content in self.files.items():
            extension = Path(name).suffix[1:]
            if name not in self.always and _EXTENSIONS.get(extension, extension) not in formats:
                continue
            try:
                written.files.append(replace_file(folder / name, content()))
            except FittingroomError as error:
                written.problems.append(error)
            except Exception as error:  # a bug in one file must not stop the others
                written.problems.append(_bug(folder / name, error))
        return written

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html())}" title="report" '
            'style="width:100%;height:48rem;border:0"></iframe>'
        )


def parse_formats(text: str) -> frozenset[str]:
    """The formats in `html,csv` as a set. Raises UsageError for an unknown one."""
    formats = frozenset(name.strip().lower() for name in text.split(",") if name.strip())
    if not formats or not formats <= set(FORMATS):
        raise UsageError(f"formats are one or more of {', '.join(FORMATS)}, not {text!r}.")
    return formats


def _bug(path: Path, error: Exception) -> ReportError:
    """One sentence that says why a file couldn't be made, and where in the code."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return ReportError(
        f"{short_path(path)} can't be made: {type(error).__name__} in "
        f"{Path(where.filename).name}, line {where.lineno} ({error}); this is a bug in "
        "Fittingroom, and no other result is lost."
    )
