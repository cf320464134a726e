"""openapi.py: the description of the server, held against the server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fittingroom.serving import openapi
from fittingroom.serving.app import Server
from fittingroom.serving.served_model import ServedModel

Serve = Callable[..., Any]
TOKEN = "0123456789abcdef"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Methods and paths, with the first value of each parameter."""
    for path, item in document["paths"].items():
        filled = path
        for parameter in item.get("parameters", []):
            filled = filled.replace(f"{{{parameter['name']}}}", parameter["example"])
        for method in item.keys() - {"parameters"}:
            yield method.upper(), filled


@pytest.fixture
def document(served: dict[str, ServedModel]) -> dict[str, Any]:
    return openapi.describe([*served.values()], "1", with_token=True)


def test_every_route_is_described(document: dict[str, Any], served: dict[str, ServedModel]) -> None:
    server = Server([*served.values()])
    routes = {
        (method, route.path)
        for route in server.routes()
        if route.include_in_schema
        for method in (route.methods or set()) - {"HEAD"}
    }
    server.close()
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item.keys() - {"parameters"}
    }
    assert described == routes


def test_each_route_is_as_described(serve: Serve, served: dict[str, ServedModel]) -> None:
    """Without a body, which two need; and refused to pages of other sites, and to strangers."""
    ask = serve([*served.values()], token=TOKEN)
    known = {"authorization": f"Bearer {TOKEN}"}
    document = ask("GET", openapi.PATH, **known).json
    assert document["security"] == [{"token": []}]
    for method, path in operations(document):
        status = ask(method, path, **known).status
        assert status == (400 if method == "POST" else 200), path
        for header in (
            {"host": "evil.example"},
            {"origin": "http://evil.example"},
            {"sec_fetch_site": "cross-site"},
        ):
            answer = ask(method, path, **known, **header)
            assert answer.status == 403, (path, header)
            assert set(answer.json) == {"error"}
        expected = 200 if "/health/" in path else 401
        assert ask(method, path).status == expected, path


def by_schemathesis(port: int, *arguments: str) -> None:
    """Have schemathesis make requests by the description; each answer must be as it says."""
    with tempfile.TemporaryDirectory() as folder:  # it writes what it found into its folder
        done = subprocess.run(
            [
                *(SCHEMATHESIS, "run", f"http://localhost:{port}{openapi.PATH}", "--checks=all"),
                *("--generation-database=none", "--warnings=off", "--no-color", *arguments),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    assert done.returncode == 0, done.stdout[-5000:]


def test_the_examples_are_answered(serve: Serve, served: dict[str, ServedModel]) -> None:
    by_schemathesis(serve([*served.values()]).port, "--phases=examples", "--seed=1")


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, TOKEN])
def test_any_request_is_answered_as_described(
    token: str | None, serve: Serve, served: dict[str, ServedModel]
) -> None:
    """That images have as many values as their shape says, the description can't demand."""
    known = [] if token is None else [f"--header=Authorization: Bearer {token}"]
    by_schemathesis(
        serve([*served.values()], token=token).port,
        *("--phases=coverage,fuzzing", "--exclude-checks=positive_data_acceptance"),
        *("--max-examples=200", "--continue-on-failure", *known),
    )


def test_a_wrong_description_is_noticed(
    serve: Serve, served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(openapi._SCHEMAS, "Server", {"type": "array"})
    ask = serve([served["logistic"]])
    with pytest.raises(AssertionError, match="Response violates schema"):
        by_schemathesis(ask.port, "--phases=fuzzing", "--include-path=/v2", "--seed=1")
