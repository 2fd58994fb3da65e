"""The web application: which address leads where. This module and ``server`` alone import the web framework."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from unish.app.answers import Answer, Refused
from unish.app.api import Api
from unish.app.guards import App, Door, Guard
from unish.app.pages import Pages
from unish.errors import InputError

Handler = Callable[[Any], Awaitable[Answer]]


def make_site(api: Api, door: Door, log: Path) -> App:
    """The application with its guard. While it is up, the queue works.

    Args:
        log: gets the traceback of what goes wrong inside.

    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    @asynccontextmanager
    async def live(site: Any) -> AsyncIterator[None]:
        api.worker.start()
        try:
            yield
        finally:
            await api.worker.stop()
            await api.live.close()

    routes = [
        Route(path, _make_endpoint(handler, log), methods=[method])
        for method, path, handler in _list_routes(api, Pages(store=api.store))
    ]
    return Guard(app=Starlette(routes=routes, lifespan=live), door=door)


def _list_routes(api: Api, pages: Pages) -> list[tuple[str, str, Handler]]:
    job, shown = "/api/jobs/{job_id}", "/jobs/{job_id}"
    return [
        ("GET", "/", pages.index),
        ("GET", "/static/{name}", pages.static),
        ("GET", "/api/about", api.about),
        ("GET", "/api/events", api.events),
        ("POST", "/api/jobs", api.add),
        ("GET", f"{job}/result", api.result),
        ("POST", f"{job}/cancel", api.cancel),
        ("DELETE", job, api.delete),
        ("PUT", f"{job}/edits", api.edit),
        ("POST", f"{job}/exports", api.export),
        ("POST", f"{job}/film", api.film),
        ("POST", f"{job}/live", api.open_live),
        ("DELETE", f"{job}/live", api.close_live),
        ("GET", f"{shown}/poster.jpg", pages.poster),
        ("GET", f"{shown}/people/{{person:int}}.jpg", pages.picture),
        ("GET", f"{shown}/frames/{{number:int}}.jpg", pages.frame),
        ("GET", f"{shown}/page", pages.page),
        ("GET", f"{shown}/report", pages.report),
        ("GET", f"{shown}/preview.mp4", pages.preview),
        ("GET", f"{shown}/files/{{name}}", pages.file),
        ("GET", f"{shown}/exports/{{name}}", pages.download),
    ]


def _make_endpoint(handler: Handler, log: Path) -> Callable[[Any], Awaitable[Any]]:
    """The handler as Starlette calls it; what goes wrong ends in a sentence."""
    from starlette.requests import ClientDisconnect

    async def respond(request: Any) -> Any:
        try:
            answer = await handler(request)
        except Refused as error:
            answer = Answer(status=error.status, value={"error": str(error)})
        except InputError as error:
            answer = Answer(status=422, value={"error": str(error)})
        except ClientDisconnect:
            answer = Answer(status=400, value={"error": "the connection has ended before everything was there"})
        except OSError as error:
            answer = Answer(status=507, value={"error": f"the disk said: {error.strerror or error}"})
        except Exception as error:
            await asyncio.to_thread(_write_log, log, traceback.format_exc())
            sentence = f"internal failure ({type(error).__name__}); please report it with {log}"
            answer = Answer(status=500, value={"error": sentence})
        return _to_response(answer)

    return respond


def _to_response(answer: Answer) -> Any:
    from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

    if answer.events is not None:
        return StreamingResponse(answer.events, media_type="text/event-stream")
    if answer.picture is not None:
        return Response(answer.picture, media_type="image/jpeg", headers={"content-security-policy": answer.policy})
    if answer.file is not None:
        headers = {"content-security-policy": answer.policy}
        return FileResponse(answer.file, filename=answer.name or None, headers=headers)
    return JSONResponse(answer.value, status_code=answer.status)


def _write_log(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(text)
