"""The app with a stand-in for its commands, on a free port in a thread, and requests to it."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import app_stand_in
from unish.app.api import Api
from unish.app.guards import Door
from unish.app.jobs import JobStore
from unish.app.limits import Limits
from unish.app.live_viewer import LiveViewer
from unish.app.server import make_server
from unish.app.site import make_site
from unish.app.uploads import Uploads
from unish.app.worker import Worker

STAND_IN = (sys.executable, "-S", str(Path(app_stand_in.__file__)))
LIMITS = Limits(min_free_bytes=1)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class RunningApp:
    """An app that runs; ``api`` belongs to its thread, and only what cannot change meanwhile is to be read here."""

    api: Api
    port: int

    @property
    def work(self) -> Path:
        return self.api.store.work

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, chunked: bool = False
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        try:
            connection.request(method, path, body=body, headers=headers or {}, encode_chunked=chunked)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def upload(self, video: bytes, name: str = "walk.mp4", **options: Any) -> Reply:
        query = urlencode({"name": name, "options": json.dumps(options)})
        return self.ask("POST", f"/api/jobs?{query}", video)

    def jobs(self) -> dict[str, dict[str, Any]]:
        """What a page that opens is told."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        try:
            connection.request("GET", "/api/events")
            answer = connection.getresponse()
            assert answer.readline() == b"event: jobs\n"
            return {job["id"]: job for job in json.loads(answer.readline().removeprefix(b"data: "))}
        finally:
            connection.close()

    def wait(self, job_id: str, *states: str, seconds: float = 240) -> dict[str, Any]:
        """The job, once it is in one of these states and nothing is being done with it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.jobs()[job_id]
            if job["state"] in states and not job["task"]:
                return job
            time.sleep(0.05)
        raise AssertionError(f"it is {self.jobs()[job_id]}")

    def files(self) -> set[str]:
        """Everything in the work folder, by paths from there."""
        return {path.relative_to(self.work).as_posix() for path in self.work.rglob("*") if path.is_file()}


@contextmanager
def running_app(
    work: Path,
    *,
    limits: Limits = LIMITS,
    door: Door | None = None,
    port: int = 0,
    probes: bool = True,
    **programs: Any,
) -> Iterator[RunningApp]:
    """The app over a work folder, until the block ends; jobs that run then stay for the next one.

    Args:
        probes: look whether an upload is a video; else everything is one, which is quicker.
    """
    store = JobStore(work=work)
    stand_ins = {"program": STAND_IN, "people_program": (*STAND_IN, "people")} | programs
    uploads = Uploads(store=store, limits=limits)
    if not probes:
        uploads.probe_program = (*STAND_IN, "probe")
    api = Api(
        store=store, worker=Worker(store=store, limits=limits, **stand_ins), limits=limits, uploads=uploads,
        live=LiveViewer(program=stand_ins["program"]),
    )  # fmt: skip
    site = make_site(api, door or Door(), work / "app.log")
    server = make_server(site, api.broadcast.end)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield RunningApp(api=api, port=listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
