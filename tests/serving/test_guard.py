"""guard.py: what is refused before any route sees it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fittingroom.errors import UsageError
from fittingroom.serving.guard import LOCAL, MAX_BODY, Guard, check_access

NOT_OURS = "this server isn't asked for under that host name; see --name."
OTHER_SITE = "pages of other sites can't use this server."


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b'{"error": null}'})


def ask(
    *headers: tuple[str, str], token: str | None = None, path: str = "/v2", hosts: Any = LOCAL
) -> tuple[int, str | None]:
    """The status and the error of a request with these headers."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": "GET", "path": path, "headers": raw}
    asyncio.run(Guard(app, hosts=hosts, token=token)(scope, receive, send))
    start, body = sent
    assert dict(start["headers"])[b"x-content-type-options"] == b"nosniff"
    return start["status"], json.loads(body["body"])["error"]


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine(host: str) -> None:
    assert ask(("host", host)) == (200, None)
    assert ask(("host", host), ("origin", f"http://{host}")) == (200, None)
    assert ask(("host", host), ("sec-fetch-site", "same-origin")) == (200, None)


@pytest.mark.parametrize(
    "hosts",
    [
        *([], ["evil.example"], ["evil.example:8000"], ["localhost.evil.example"]),
        *(
            ["localhost@evil.example"],
            ["[::1"],
            [""],
            ["localhost", "evil.example"],
            ["a/localhost"],
        ),
    ],
)
def test_other_names_are_refused(hosts: list[str]) -> None:
    """A name that leads here may be anybody's (DNS rebinding)."""
    assert ask(*(("host", host) for host in hosts)) == (403, NOT_OURS)


@pytest.mark.parametrize(
    "header",
    [
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:9000"),
        ("origin", "null"),
        ("origin", "file://localhost:8000"),
        ("origin", "http://[::1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ],
)
def test_pages_of_other_sites_are_refused(header: tuple[str, str]) -> None:
    assert ask(("host", "localhost:8000"), header) == (403, OTHER_SITE)


def test_a_link_opens_the_page_from_anywhere() -> None:
    """But nothing else: other sites can neither read it nor frame it, nor use what it uses."""
    host, link = ("host", "localhost"), ("sec-fetch-mode", "navigate")
    for site in ("cross-site", "same-site"):
        assert ask(host, ("sec-fetch-site", site), link, path="/") == (200, None)
        assert ask(host, ("sec-fetch-site", site), link) == (403, OTHER_SITE)
        for path in ("/", "/page/serve.js"):
            assert ask(host, ("sec-fetch-site", site), path=path) == (403, OTHER_SITE)
    form = (("sec-fetch-site", "cross-site"), link, ("origin", "http://evil.example"))
    assert ask(host, *form, path="/") == (403, OTHER_SITE)
    assert ask(("host", "evil.example"), link, path="/") == (403, NOT_OURS)


def test_a_token() -> None:
    host = ("host", "localhost")
    for known in (("authorization", "Bearer secret"), ("Authorization", "bearer secret")):
        assert ask(host, known, token="secret") == (200, None)
    for unknown in (
        *(("authorization", "Bearer secre"), ("authorization", "secret")),
        *(("authorization", "Bearer"), ("authorization", "Bearer s\xe9cret"), ("a", "b")),
    ):
        status, error = ask(host, unknown, token="secret")
        assert (status, error) == (401, "a token is needed: Authorization: Bearer TOKEN.")
    # Whoever starts and stops servers asks without one whether they live.
    assert ask(host, token="secret", path="/v2/health/live") == (200, None)
    # Nor does a browser have one when it opens the page.
    for path in ("/", "/page/serve.js"):
        assert ask(host, token="secret", path=path) == (200, None)
    for path in ("/page", "//", "/v1/models", "/v1/photo", "/metrics"):
        assert ask(host, token="secret", path=path)[0] == 401
    assert ask(("host", "evil.example"), token="secret", path="/v2/health/live")[0] == 403


def test_case_does_not_matter() -> None:
    assert ask(("host", "models.Example"), hosts=["Models.example"]) == (200, None)


def test_the_length_that_is_said() -> None:
    host = ("host", "localhost")
    assert ask(host, ("content-length", str(MAX_BODY))) == (200, None)
    assert ask(host, ("content-length", str(MAX_BODY + 1)))[0] == 413


def test_nothing_but_http_is_answered() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    asyncio.run(Guard(never, hosts=LOCAL, token=None)({"type": "websocket"}, never, never))


def test_tokens_and_names_that_headers_can_carry() -> None:
    check_access(None, [])
    check_access("0123456789abcdef", ["models.example.org", "gateway"])
    for token in ("", "short", "with a space in it", "with-an-umlaut-ü-in-it"):
        with pytest.raises(UsageError, match="a token is 16 or more ASCII letters"):
            check_access(token, [])
    for name in ("a:80", "a/b", "a b", ""):
        with pytest.raises(UsageError, match="--name takes the name of a host"):
            check_access(None, ["good", name])
