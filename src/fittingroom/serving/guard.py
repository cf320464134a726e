"""Who may ask, and how much: what is checked before anything else, for every route."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Names of this machine, for itself.
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
#: Bytes of a request: a photo, or four thousand images of 28×28 as JSON.
MAX_BODY = 32 * 2**20
COOKIE = "fittingroom-token"
#: Of every answer: nothing from elsewhere, in nobody's frame, never taken for another type.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An ASGI application around another that refuses strangers and large bodies.

    A page of another site can send requests to a server on this machine, under a name that leads to
    its address (DNS rebinding) or from its own origin. So the host that is asked for must be one of
    ours, and an origin that is named too.

    Parameters
    ----------
    hosts : names and addresses, without a port, under which the server may be asked
    token : needed in the header `Authorization: Bearer` or in the cookie; None where nobody else
        can reach the server
    """

    def __init__(
        self, app: App, *, hosts: Collection[str], token: str | None, max_body: int = MAX_BODY
    ) -> None:
        self._app, self._hosts, self._token, self._max_body = app, hosts, token, max_body

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        if (refusal := self._refusal(scope)) is not None:
            status, reason = refusal
            headers = {"www-authenticate": "Bearer"} if status == 401 else None
            response = JSONResponse({"error": reason}, status, headers)
            await response(scope, receive, send_with_headers)
            return
        await self._app(scope, self._counted(receive), send_with_headers)

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        """The status and the reason, where a request is refused for what its head says."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = [value.decode("latin-1") for value in headers.get(b"host", [])]
        if len(hosts) != 1 or _hostname(f"//{hosts[0]}") not in self._hosts:
            return 403, "this server isn't asked for under that host name."
        for origin in headers.get(b"origin", []):
            text = origin.decode("latin-1")
            if _host_of(text) != hosts[0]:
                return 403, "pages of other sites can't use this server."
        if headers.get(b"sec-fetch-site", [b"none"])[0] not in (b"none", b"same-origin"):
            return 403, "pages of other sites can't use this server."
        if self._token is not None and not self._is_known(headers):
            return 401, "a token is needed: Authorization: Bearer TOKEN."
        length = headers.get(b"content-length", [b"0"])[0]
        if length.isdigit() and int(length) > self._max_body:
            return 413, self._too_large()
        return None

    def _is_known(self, headers: dict[bytes, list[bytes]]) -> bool:
        assert self._token is not None
        given = []
        for value in headers.get(b"authorization", []):
            scheme, _, credentials = value.partition(b" ")
            given += [credentials] if scheme.lower() == b"bearer" else []
        for cookies in headers.get(b"cookie", []):
            pairs = (cookie.strip().partition(b"=") for cookie in cookies.split(b";"))
            given += [value for name, _, value in pairs if name == COOKIE.encode()]
        return any(hmac.compare_digest(each, self._token.encode()) for each in given)

    def _counted(self, receive: Receive) -> Receive:
        """`receive` that raises HTTPException once a body has grown too large."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_body:
                raise HTTPException(413, self._too_large(), {"connection": "close"})
            return message

        return counted

    def _too_large(self) -> str:
        return f"a request has at most {self._max_body // 2**20} MiB."


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
