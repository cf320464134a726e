"""`fittingroom models`: list the catalogue."""

from __future__ import annotations

from fittingroom.cli.options import JsonOption
from fittingroom.json_text import json_text


def command(as_json: JsonOption = False) -> None:
    """List the models: what each is, which source it re-creates, how long a fit takes."""
    from fittingroom.cli.output import say
    from fittingroom.cli.show import command_line, suggest
    from fittingroom.formatting import duration
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
    columns = ("model", "family", "parameters", "source", "fit", "about")
    rows = [
        (
            row.name,
            row.family,
            f"{row.parameters:,}" if row.parameters else "",
            row.source or "",
            duration(row.expected_seconds()),
            row.about,
        )
        for row in MODELS.values()
    ]
    say(text_table(columns, rows, right={"parameters", "fit"}))
    suggest(command_line("fit", "logistic"), command_line("compare", "--models", "logistic,swift"))
    return None
