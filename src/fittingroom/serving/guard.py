"""Who may ask, and how much: what is checked before anything else, for every route."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from fittingroom.errors import UsageError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
#: Headers by name in lower case.
_Headers = dict[bytes, list[bytes]]

#: Names of this machine, for itself.
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
#: Bytes of a request's body, which may be a photo; and of all bodies that are held at once.
MAX_BODY, MAX_BODIES = 32 * 2**20, 256 * 2**20
#: Seconds after which a client that was refused because of the load may try again.
RETRY = "1"
#: What anybody may ask who knows the host's name: whether the server lives.
HEALTH = "/v2/health/"
#: The page, and where its files are; they hold nothing of models or of data.
PAGE, PAGE_FILES = "/", "/page/"
_TOKEN = re.compile(r"[!#-:<-~]{16,}", re.ASCII)
_NAME = re.compile(r"[\w.-]+", re.ASCII)
#: Key of a function in a request's scope, called if it is refused since too much waits.
ON_BUSY = "fittingroom.on_busy"
#: Sent with every answer that has no such header itself: it loads nothing, can't be framed, and its
#: type isn't guessed.
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def check_access(token: str | None, names: Collection[str]) -> None:
    """Raise UsageError for a token that a header can't carry, and for what isn't a host's name."""
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError("a token is 16 or more ASCII letters, digits and signs without spaces.")
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise UsageError(f"--name takes the name of a host, without a port, not {wrong[0]!r}.")


class Guard:
    """An ASGI application around another that refuses strangers and large bodies.

    A page of another site can send requests to a server on this machine, under a name that leads to
    its address (DNS rebinding) or from its own origin. So the host that is asked for must be one of
    ours, and an origin that is named too.

    Parameters
    ----------
    hosts : names and addresses, without a port, under which the server may be asked
    token : needed in the header `Authorization: Bearer`; None where nobody else can reach the
        server
    on_refusal : called with the status of each request that is refused here
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Collection[str],
        token: str | None,
        on_refusal: Callable[[int], None] = lambda _: None,
    ) -> None:
        assert token is None or token, "an empty token would let everybody in"
        self._app, self._token, self._on_refusal = app, token, on_refusal
        self._hosts = frozenset(host.lower() for host in hosts)
        self._held = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 503 and (on_busy := scope.get(ON_BUSY)) is not None:
                    on_busy()
                headers = [*message.get("headers", [])]
                own = {name for name, _ in headers}
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*headers, *(each for each in extra if each[0] not in own)]
            await send(message)

        if (refusal := self._refusal(scope)) is not None:
            status, reason = refusal
            self._on_refusal(status)
            headers = {"www-authenticate": "Bearer"} if status == 401 else None
            response = JSONResponse({"error": reason}, status, headers)
            await response(scope, receive, send_with_headers)
            return
        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, send_with_headers)
        finally:
            self._held -= body.size

    def hold(self, size: int) -> None:
        """Count so many bytes of a body more; raises HTTPException where all take too much."""
        if self._held + size > MAX_BODIES:
            reason = "too many large requests at once; try again in a moment."
            raise HTTPException(503, reason, {"retry-after": RETRY})
        self._held += size

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        """The status and the reason, where a request is refused for what its head says."""
        headers: _Headers = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = [value.decode("latin-1") for value in headers.get(b"host", [])]
        if len(hosts) != 1 or _hostname(f"//{hosts[0]}") not in self._hosts:
            return 403, "this server isn't asked for under that host name; see --name."
        origins = [value.decode("latin-1") for value in headers.get(b"origin", [])]
        sites = headers.get(b"sec-fetch-site", [])
        # A link from anywhere may open the page itself, since it can't be framed or read there.
        is_link = scope["path"] == PAGE and headers.get(b"sec-fetch-mode") == [b"navigate"]
        if any(_host_of(origin) != hosts[0] for origin in origins) or any(
            site not in (b"none", b"same-origin") and not is_link for site in sites
        ):
            return 403, "pages of other sites can't use this server."
        path = scope["path"]
        # A browser that opens a page can't send a token; the page's own requests do.
        is_public = path == PAGE or path.startswith((HEALTH, PAGE_FILES))
        if not (is_public or self._is_known(headers)):
            return 401, "a token is needed: Authorization: Bearer TOKEN."
        length = headers.get(b"content-length", [b"0"])[0]
        if length.isdigit() and int(length) > MAX_BODY:
            return 413, _TOO_LARGE
        return None

    def _is_known(self, headers: _Headers) -> bool:
        if (token := self._token) is None:
            return True
        given = [value.partition(b" ") for value in headers.get(b"authorization", [])]
        return any(
            scheme.lower() == b"bearer" and hmac.compare_digest(credentials, token.encode())
            for scheme, _, credentials in given
        )


_TOO_LARGE = f"a request has at most {MAX_BODY // 2**20} MiB."


class _Body:
    """The body of a request as it arrives."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self._guard, self._receive = guard, receive
        self.size = 0

    async def receive(self) -> Message:
        """The next message; raises HTTPException once the body, or all together, are too large."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if self.size + size > MAX_BODY:
            raise HTTPException(413, _TOO_LARGE)
        self._guard.hold(size)
        self.size += size
        return message


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _host_of(origin: str) -> str | None:
    """The host and port of an origin; None if it isn't one, such as `null`."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") else None
