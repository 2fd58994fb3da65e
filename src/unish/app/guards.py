"""What stands before every request: the host that was asked for, the page that asks, the token, and safe headers.

Plain ASGI, without a web framework: wrapping the response of a stream of events would hold it back.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "unish_token"
_READING = ("GET", "HEAD")

APP_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content Security Policy of the app's own page: no script but its own files, nothing from elsewhere."""

PAGE_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'unsafe-inline' data: blob:; img-src data: blob:; font-src data:; connect-src data: blob:; "
    "worker-src data: blob:; frame-ancestors 'self'"
)
"""Of the static page of a result, which brings all its scripts in itself: it runs in a sandbox without an origin, so
that it can reach neither the app nor any network."""

REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""Of report.html, which has no script."""

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
    "content-security-policy": APP_POLICY,
}
"""Set where the answer has no header of the name."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """Who may come in.

    Attributes:
        hosts: names in the Host header that are answered, without the port.
        any_address: answer every numeric address, too. A page of another site can reach the app under a name of its
            own (DNS rebinding), never under a number.
        token: must be in the cookie, or once in the query, if it is not empty.
    """

    hosts: frozenset[str] = frozenset(LOOPBACK_NAMES)
    any_address: bool = False
    token: str = ""

    def knows(self, host: str) -> bool:
        """Is this what the Host header of a welcome request says?"""
        name = split_host(host)
        return name in self.hosts or (self.any_address and _is_address(name))


def split_host(host: str) -> str:
    """The name in a Host header, in lower case, without the port; an IPv6 address keeps its brackets."""
    name, colon, port = host.strip().lower().rpartition(":")
    return name if colon and port.isdecimal() else host.strip().lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Lets the requests of the app's own page through, and refuses all others in a sentence."""

    app: App
    door: Door = field(default_factory=Door)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None  # nothing here speaks anything else
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._find_refusal(scope, headers)
        if refusal is not None:
            return await _refuse(send, *refusal)
        if self.door.token and not self._has_cookie(headers):
            return await self._ask_for_token(scope, send)
        await self.app(scope, receive, _with_headers(send))

    def _find_refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self.door.knows(host):
            return 400, "this address is not one that the app answers to; open the address that it printed"
        fetch_site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        opens_page = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if fetch_site in ("cross-site", "same-site") and not opens_page:
            return 403, "a page of another site may not use the app"
        if scope["method"] not in _READING and not _is_own_origin(origin, fetch_site, host):
            return 403, "a page of another site may not change anything here"
        return None

    def _has_cookie(self, headers: dict[str, str]) -> bool:
        try:
            given = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return given is not None and self._is_token(given.value)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.door.token.encode())

    async def _ask_for_token(self, scope: Scope, send: Send) -> None:
        """Take the token out of the address and into a cookie, so that it stays in no history."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] != "/" or scope["method"] != "GET" or not self._is_token(given):
            return await _refuse(send, 401, "open the address with the token that the app printed when it started")
        cookie = f"{COOKIE}={self.door.token}; HttpOnly; SameSite=Strict; Path=/"
        await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})


def _is_own_origin(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Does the page that sends this belong to the app? Programs that are no browsers send neither header."""
    if fetch_site not in (None, "same-origin"):
        return False
    return origin is None or (urlsplit(origin).scheme in ("http", "https") and urlsplit(origin).netloc == host)


def _with_headers(send: Send) -> Send:
    async def send_safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            names = {name.lower() for name, _ in own}
            own += [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in names]
            message = {**message, "headers": own}
        await send(message)

    return send_safe


async def _refuse(send: Send, status: int, sentence: str) -> None:
    await _answer(send, status, f"{sentence}\n", {"content-type": "text/plain; charset=utf-8"})


async def _answer(send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    safe = _with_headers(send)
    fields = {**headers, "content-length": str(len(body))}
    await safe(
        {"type": "http.response.start", "status": status,
         "headers": [(name.encode(), value.encode()) for name, value in fields.items()]}
    )  # fmt: skip
    await safe({"type": "http.response.body", "body": body})
