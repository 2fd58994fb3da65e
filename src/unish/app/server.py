"""Serving the app until it is interrupted."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unish.app.api import Api
from unish.app.guards import LOOPBACK_NAMES, App, Door
from unish.app.jobs import JobStore
from unish.app.limits import Limits
from unish.app.live_viewer import LiveViewer
from unish.app.site import make_site
from unish.app.uploads import Uploads
from unish.app.worker import Worker
from unish.assets import cache_dir
from unish.errors import InputError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8470
TOKEN_VARIABLE = "UNISH_APP_TOKEN"


def default_work() -> Path:
    """The folder of the app under the user's cache folder."""
    return cache_dir() / "app"


def make_door(host: str, names: Iterable[str]) -> Door:
    """Who is let in at an address to listen on.

    Without a token only on loopback; ``UNISH_APP_TOKEN`` sets one, otherwise it is made when it is needed.

    Args:
        names: further names by which the machine is reached.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if is_loopback(host):
        return Door(hosts=frozenset({*LOOPBACK_NAMES, *_lower(names)}), token=token)
    hosts = {*LOOPBACK_NAMES, host.lower(), socket.gethostname().lower(), *_lower(names)}
    return Door(hosts=frozenset(hosts), any_address=True, token=token or secrets.token_urlsafe(24))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _lower(names: Iterable[str]) -> list[str]:
    return [name.lower() for name in names]


def serve(
    work: Path,
    *,
    limits: Limits,
    host: str = LOOPBACK,
    port: int | None = None,
    names: Iterable[str] = (),
    open_browser: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Show the page, and do what is asked for there, until the program is interrupted.

    Args:
        work: everything that is uploaded and made lies here.
        host: address to listen on; any but loopback needs the token that is announced with the address.
        port: ``None`` takes 8470, or a free one where that is taken.
        names: further names by which the machine is reached.

    Raises:
        InputError: the extra ``app`` is missing, the port is taken, or another app uses the folder.
    """
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise InputError("unish app needs Starlette and uvicorn: pip install 'unish[app]'")
    work = work.absolute()
    listener = _listen(host, port)
    with listener, _alone(work):
        store = JobStore(work=work)
        api = Api(
            store=store, worker=Worker(store=store, limits=limits), uploads=Uploads(store=store, limits=limits),
            limits=limits, live=LiveViewer(), is_local=is_loopback(host),
        )  # fmt: skip
        door = make_door(host, names)
        site = make_site(api, door, work / "app.log")
        shown = host if not _is_everywhere(host) else socket.gethostname()
        address = f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}/"
        address += f"?token={door.token}" if door.token else ""
        announce(f"{address} is the app; end it with Ctrl+C. Videos and results lie in {work}")
        if open_browser:
            webbrowser.open(address)
        _run(make_server(site, api.broadcast.end), listener)


def make_server(site: App, end_events: Callable[[], None]) -> Any:
    """The web server of a site, to be run.

    Args:
        end_events: called when it is told to stop, for pages that listen for events never end by themselves.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            end_events()
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            site,  # type: ignore[arg-type]
            log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none", lifespan="on",
            timeout_graceful_shutdown=2,
        )
    )  # fmt: skip


def _run(server: Any, listener: socket.socket) -> None:
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            return socket.create_server((host, number), family=family)
        except OSError as error:
            reason = error.strerror or str(error)
    raise InputError(f"cannot listen on {host} port {number}: {reason}; choose another --port or --host")


def _is_everywhere(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return False


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """The folder, made if need be, for one app at a time."""
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(work / "lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{work}: another app uses this folder; open its page, or choose another --work") from None
    except OSError as error:
        raise InputError(f"{work}: cannot write there ({error.strerror}); choose another --work") from None
    try:
        yield
    finally:
        lock.release()
