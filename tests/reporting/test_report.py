from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from fittingroom.errors import ReportError, StoreError, UsageError
from fittingroom.reporting.report import Report, parse_formats


def report(**files: Callable[[], str]) -> Report:
    """A report with a table that is always written, and the given files."""
    named = {name.replace("_", "."): text for name, text in files.items()}
    return Report(
        text=lambda: "a table",
        json=lambda: "{}",
        compute=lambda: 7,
        files={"table.json": lambda: "{}", **named},
        always=("table.json",),
    )


def test_only_files_of_the_formats_are_written(tmp_path: Path) -> None:
    full = report(more_json=lambda: "[]", table_csv=lambda: "a,b", page_html=lambda: "<p>")
    assert full.result == 7
    assert full.save(tmp_path, "csv") == [tmp_path / "table.json", tmp_path / "table.csv"]
    assert (tmp_path / "table.csv").read_text("utf8") == "a,b"
    written = [file.name for file in full.save(tmp_path)]
    assert written == ["table.json", "more.json", "page.html"]
    with pytest.raises(UsageError, match="formats are one or more of html, md, csv, json"):
        full.save(tmp_path, "pdf")


def test_a_file_replaces_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")
    report(page_html=lambda: "new").save(tmp_path)
    assert (tmp_path / "page.html").read_text() == "new"
    assert {file.name for file in tmp_path.iterdir()} == {"page.html", "table.json"}


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be written"):
        report().save(tmp_path / "nowhere")


def test_a_file_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    def broken() -> str:
        return str(1 // 0)

    with pytest.raises(ReportError, match=r"page\.html can't be made: ZeroDivisionError in test_"):
        report(page_html=broken, table_md=lambda: "|").save(tmp_path, "html,md")
    assert (tmp_path / "table.md").exists()


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    frame = report(page_html=lambda: '<p title="a">&amp;</p>')._repr_html_()
    page = re.search('<iframe srcdoc="([^"]*)"', frame)
    assert page is not None
    assert unescape(page[1]) == '<p title="a">&amp;</p>'
    with pytest.raises(UsageError, match="no page"):
        report().html()


@pytest.mark.parametrize("text", ["", ",", "pdf", "html,pdf"])
def test_unknown_formats_are_refused(text: str) -> None:
    assert parse_formats(" HTML, csv,") == {"html", "csv"}
    with pytest.raises(UsageError, match="one or more of html, md, csv, json, latex, not"):
        parse_formats(text)
