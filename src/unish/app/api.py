"""What the page asks for and tells: jobs, uploads, edits, exports, the live viewer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unish.app.answers import Answer, Refused, read_text
from unish.app.choices import FLAGS, read_edits, read_formats, read_options
from unish.app.events import Broadcast
from unish.app.jobs import DONE, OPEN, WAITING, Job, JobStore
from unish.app.limits import DiskFull, Limits, TooLarge
from unish.app.live_viewer import LiveViewer
from unish.app.uploads import Uploads
from unish.app.worker import Worker
from unish.export.formats import FORMATS
from unish.version import __version__

FILES = {
    "scene.glb": "scene.glb",
    "preview.mp4": "preview.mp4",
    "report.html": "report.html",
    "report.json": "report.json",
    "reconstruction.npz": "reconstruction.npz",
}
"""Files of a result that can be downloaded."""
_OF_REPORT = ("people", "shots", "quality", "warnings", "seconds")


@dataclass
class Api:
    """Handlers under ``/api``. Each takes a request of Starlette and gives an ``Answer``.

    Attributes:
        is_local: the app answers on this machine alone, so that the live viewer can be reached.
    """

    store: JobStore
    worker: Worker
    uploads: Uploads
    limits: Limits
    live: LiveViewer
    is_local: bool = True
    broadcast: Broadcast = field(init=False)

    def __post_init__(self) -> None:
        self.broadcast = Broadcast(describe_all=self._describe_all, describe=self._describe_id)
        self.store.changed = self.broadcast.publish

    # Reading ----------------------------------------------------------------------------------------------------

    async def about(self, request: Any) -> Answer:
        """What the page must know to check before it sends, and what it can offer."""
        return Answer(
            value={
                "version": __version__,
                "max_bytes": self.limits.max_bytes,
                "max_minutes": self.limits.max_minutes,
                "keep_days": self.limits.keep_days,
                "options": list(FLAGS),
                "formats": {name: kind.summary for name, kind in FORMATS.items()},
                "is_local": self.is_local,
            }
        )

    async def events(self, request: Any) -> Answer:
        return Answer(events=self.broadcast.listen())

    async def result(self, request: Any) -> Answer:
        """What is known of a finished job: the report, and people with their places over time."""
        job = self._finished(request)
        report = _read_json(self.store.result(job) / "report.json")
        people = _read_json(self.store.shown(job) / "people.json")
        sizes = {
            name: (self.store.result(job) / file).stat().st_size
            for name, file in FILES.items()
            if (self.store.result(job) / file).is_file()
        }
        return Answer(
            value={"report": {key: report.get(key) for key in _OF_REPORT}, "people": people or None, "files": sizes}
        )

    # Changing ---------------------------------------------------------------------------------------------------

    async def add(self, request: Any) -> Answer:
        """Take in a video: the body of the request; name and options stand in the query."""
        options = read_options(request.query_params.get("options", ""))
        stated = request.headers.get("content-length", "")
        try:
            job = await self.uploads.receive(
                request.stream(), stated_bytes=int(stated) if stated.isdecimal() else None,
                name=request.query_params.get("name", ""), options=options,
            )  # fmt: skip
        except TooLarge as error:
            raise Refused(413, str(error)) from None
        except DiskFull as error:
            raise Refused(507, str(error)) from None
        self.worker.wake()
        return Answer(status=201, value=self._describe(job))

    async def cancel(self, request: Any) -> Answer:
        job = self._find(request)
        if job.state not in OPEN and not job.task:
            raise Refused(409, "there is nothing to cancel: the work has ended")
        await self.worker.cancel(job)
        return Answer(value=self._describe_id(job.job_id))

    async def delete(self, request: Any) -> Answer:
        job = self._find(request)
        if job.state in OPEN or job.task:
            await self.worker.cancel(job)
        await self.live.close(job.job_id)
        self.store.delete(job)
        return Answer(value={"id": job.job_id})

    async def edit(self, request: Any) -> Answer:
        """Set the complete list of edits of a result; the answer comes at once, the work is done in its turn."""
        job = self._finished(request)
        edits = read_edits(await read_text(request))
        if job.task not in ("", "refine"):
            raise Refused(409, "an export or the film is being written; wait until it is there")
        await self.live.close(job.job_id)
        self.worker.refine(job, edits)
        return Answer(status=202, value=self._describe_id(job.job_id))

    async def export(self, request: Any) -> Answer:
        job = self._finished(request)
        formats = read_formats(await read_text(request))
        self._refuse_while_busy(job)
        self.worker.export(job, formats)
        return Answer(status=202, value=self._describe_id(job.job_id))

    async def film(self, request: Any) -> Answer:
        """Have the film drawn, which edits take away."""
        job = self._finished(request)
        self._refuse_while_busy(job)
        self.worker.film(job)
        return Answer(status=202, value=self._describe_id(job.job_id))

    async def open_live(self, request: Any) -> Answer:
        job = self._finished(request)
        if not self.is_local:
            raise Refused(409, "the live viewer answers on the machine of the app alone; run `unish view` there")
        log = self.store.folder(job) / "log.txt"
        return Answer(value={"address": await self.live.open(job.job_id, self.store.result(job), job.name, log)})

    async def close_live(self, request: Any) -> Answer:
        await self.live.close(self._find(request).job_id)
        return Answer(value={})

    # Jobs as JSON -----------------------------------------------------------------------------------------------

    def _find(self, request: Any) -> Job:
        job = self.store.get(request.path_params["job_id"])
        if job is None:
            raise Refused(404, "there is no such job; it may have been deleted")
        return job

    def _finished(self, request: Any) -> Job:
        job = self._find(request)
        if job.state != DONE:
            raise Refused(409, "the job has no result yet")
        return job

    @staticmethod
    def _refuse_while_busy(job: Job) -> None:
        if job.task:
            raise Refused(409, "the result is being worked on; wait until that is done")

    def _describe_all(self) -> list[dict[str, Any]]:
        return [self._describe(job) for job in self.store.all()]

    def _describe_id(self, job_id: str) -> dict[str, Any] | None:
        job = self.store.get(job_id)
        return None if job is None else self._describe(job)

    def _describe(self, job: Job) -> dict[str, Any]:
        """A job as the page sees it; no path of this machine is in it."""
        folder = self.store.folder(job)
        stages = self.worker.progress.get(job.job_id)
        waiting = [other.job_id for other in self.store.waiting()] if job.state == WAITING else []
        return {
            "id": job.job_id,
            "name": job.name,
            "created_s": job.created_s,
            "changed_s": job.changed_s,
            "age_s": round(time.time() - job.created_s, 1),
            "state": job.state,
            "options": job.options,
            "seconds": job.seconds,
            "width": job.width,
            "height": job.height,
            "num_bytes": job.num_bytes,
            "error": job.error,
            "ahead": waiting.index(job.job_id) if job.job_id in waiting else 0,
            "stages": [] if stages is None else stages.describe(),
            "task": job.task,
            "task_error": job.task_error,
            "edits": job.edits if job.wanted_edits is None else job.wanted_edits,
            "downloads": job.downloads,
            "has_poster": (folder / "poster.jpg").exists(),
            "has_page": (self.store.shown(job) / "page.html").exists(),
            "has_film": (self.store.result(job) / FILES["preview.mp4"]).exists(),
        }


def _read_json(path: Path) -> dict[str, Any]:
    """Empty where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
