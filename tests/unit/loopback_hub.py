"""A Hugging Face hub on the loopback address: the part of its protocol that downloads use, and its accidents."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

Files = dict[str, bytes]


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    range: str | None


@dataclass
class LoopbackHub:
    """Repositories and what goes wrong with them.

    Attributes:
        commits: files of each commit of each repository.
        branches: commit of each branch or tag of each repository.
        cuts: bytes of a file after which its next downloads lose the connection, one by one.
        tampered: content that downloads of a file deliver in place of what the hub says that it has.
        gated: repositories that this client may not read.
        is_down: every request is answered with "service unavailable".
        gives_reasons: the hub's own error codes come with errors; mirrors leave them out.
        requests: all so far.
        connections: all so far, closed ones included.
    """

    commits: dict[str, dict[str, Files]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    tampered: Files = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    is_down: bool = False
    gives_reasons: bool = True
    requests: list[Request] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def storage(self) -> str:
        return f"http://localhost:{self._server.server_address[1]}/stored"

    def publish(self, repository: str, files: Files, branch: str = "main") -> str:
        """Add a commit at the tip of a branch and return its hash."""
        names = "".join(f"{name}{hashlib.sha256(content).hexdigest()}" for name, content in files.items())
        commit = hashlib.sha1(f"{repository}{branch}{names}".encode()).hexdigest()
        self.commits.setdefault(repository, {})[commit] = files
        self.branches.setdefault(repository, {})[branch] = commit
        return commit

    def stop(self) -> None:
        """Go offline: open connections end, new ones are refused."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # the client has closed it already
                connection.shutdown(socket.SHUT_RDWR)

    def downloads(self, name: str) -> list[Request]:
        """Requests for the content of a file."""
        return [request for request in self.requests if request.method == "GET" and request.path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.hub.connections.append(self.connection)

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0].replace("%2F", "/")
        self.hub.requests.append(Request(self.command, path, self.headers.get("Range")))
        if self.hub.is_down:
            return self._send(503, {}, b"")
        if stored := re.fullmatch(r"/stored/([\w.-]+/[\w.-]+)/(\w{40})/(.+)", path):
            return self._send_content(self.hub.commits[stored[1]][stored[2]], stored[3], {})
        listing = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/(?:tree|revision)/(.+)", path)
        wanted = listing or re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path)
        if wanted is None or wanted[1] not in self.hub.commits:
            return self._refuse(401, "RepoNotFound")
        if wanted[1] in self.hub.gated:
            return self._refuse(403, "GatedRepo")
        commit = self.hub.branches[wanted[1]].get(wanted[2], wanted[2])
        files = self.hub.commits[wanted[1]].get(commit)
        if files is None:
            return self._refuse(404, "RevisionNotFound")
        if listing:
            listed = {"id": wanted[1], "sha": commit, "siblings": [{"rfilename": name} for name in files]}
            content = json.dumps(_list_tree(files) if "/tree/" in path else listed)
            return self._send(200, {"Content-Type": "application/json"}, content.encode())
        return self._send_file(wanted[1], commit, files, wanted[3])

    def _send_file(self, repository: str, commit: str, files: Files, name: str) -> None:
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            return self._refuse(404, "EntryNotFound", headers)
        if not name.endswith(".safetensors"):
            return self._send_content(files, name, headers | {"ETag": f'"{_git_hash(files[name])}"'})
        # Large files live on another host; the hub gives their length and sha256, and sends the client on.
        digest = hashlib.sha256(files[name]).hexdigest()
        headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(files[name]))}
        return self._send(302, headers | {"Location": f"{self.hub.storage}/{repository}/{commit}/{name}"}, b"")

    def _send_content(self, files: Files, name: str, headers: dict[str, str]) -> None:
        content = self.hub.tampered.get(name, files[name])
        start = 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(asked[1])
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        cuts = self.hub.cuts.get(name, []) if self.command == "GET" else []
        cut = cuts.pop(0) if cuts else None
        self._send(206 if start else 200, headers, content[start:], cut)

    def _refuse(self, status: int, reason: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self._send(status, {**headers, "X-Error-Code": reason} if self.hub.gives_reasons else {}, b"")

    def _send(self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _list_tree(files: Files) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": name, "size": len(content), "oid": _git_hash(content)}
        for name, content in files.items()
    ]
