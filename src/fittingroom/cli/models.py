"""`fittingroom models`: list the catalogue."""

from __future__ import annotations

from fittingroom.cli.options import JsonOption, WideOption
from fittingroom.json_text import json_text

#: Cells of the longest description, so that the table fits 80 columns.
LONGEST = 43


def command(wide: WideOption = False, as_json: JsonOption = False) -> None:
    """List the models: what each is, which source it re-creates, how long a fit takes."""
    from fittingroom.cli.output import say
    from fittingroom.cli.show import command_line, suggest
    from fittingroom.formatting import duration, shorten
    from fittingroom.models.catalog import MODELS
    from fittingroom.table import text_table

    if as_json:
        models = [
            {
                "model": row.name,
                "family": row.family,
                "about": row.about,
                "source": row.source,
                "parameters": row.parameters,
                "expected_seconds": row.expected_seconds(),
                "deterministic": row.deterministic,
            }
            for row in MODELS.values()
        ]
        return say(json_text({"schema_version": 1, "models": models}).rstrip())
    about = [row.about for row in MODELS.values()]
    columns: dict[str, list[str]] = {
        "model": list(MODELS),
        "family": [row.family for row in MODELS.values()],
        "parameters": [f"{row.parameters:,}" if row.parameters else "" for row in MODELS.values()],
        "source": [row.source or "" for row in MODELS.values()],
        "fit": [duration(row.expected_seconds()) for row in MODELS.values()],
        "about": about if wide else shorten(about, LONGEST),
    }
    if not wide:
        columns = {name: columns[name] for name in ("model", "fit", "about")}
    lines = zip(*columns.values(), strict=True)
    say(text_table(tuple(columns), lines, right={"parameters", "fit"}))
    suggest(command_line("fit", "logistic"), command_line("compare", "--models", "logistic,swift"))
    return None
