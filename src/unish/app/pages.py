"""Files that the browser gets: the app's own page, and what was made of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unish.app.answers import Answer, Refused
from unish.app.api import FILES
from unish.app.guards import PAGE_POLICY, REPORT_POLICY
from unish.app.jobs import Job, JobStore

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Handlers of files. Names in a request choose among files that are known; they are never parts of a path."""

    store: JobStore

    async def index(self, request: Any) -> Answer:
        return Answer(file=_STATIC / "index.html")

    async def static(self, request: Any) -> Answer:
        known = {path.name: path for path in _STATIC.iterdir() if path.suffix in (".js", ".css", ".svg")}
        return _send(known.get(request.path_params["name"]))

    async def poster(self, request: Any) -> Answer:
        return _send_picture(self.store.folder(self._find(request)) / "poster.jpg")

    async def picture(self, request: Any) -> Answer:
        """A picture of a person; the number comes as a whole number from the route."""
        shown = self.store.shown(self._find(request))
        return _send_picture(shown / f"person-{request.path_params['person']}.jpg")

    async def frame(self, request: Any) -> Answer:
        """A picture of the video; the number comes as a whole number from the route."""
        shown = self.store.shown(self._find(request))
        return _send_picture(shown / f"frame-{request.path_params['number']}.jpg")

    async def page(self, request: Any) -> Answer:
        job = self._find(request)
        return _send(self.store.shown(job) / "page.html", policy=PAGE_POLICY, name=self._save_as(job, request, ".html"))

    async def report(self, request: Any) -> Answer:
        return _send(self.store.result(self._find(request)) / "report.html", policy=REPORT_POLICY)

    async def preview(self, request: Any) -> Answer:
        return _send(self.store.result(self._find(request)) / "preview.mp4")

    async def file(self, request: Any) -> Answer:
        """A file of the result, to save."""
        job, name = self._find(request), request.path_params["name"]
        if name not in FILES:
            raise Refused(404, "there is no such file")
        return _send(self.store.result(job) / FILES[name], name=f"{Path(job.name).stem}-{name}")

    async def download(self, request: Any) -> Answer:
        """An export, to save."""
        job, name = self._find(request), request.path_params["name"]
        formats = {file: formats for formats, file in job.downloads.items()}.get(name)
        if formats is None:
            raise Refused(404, "there is no such file")
        path = self.store.folder(job) / "exports" / name
        return _send(path, name=f"{Path(job.name).stem}-{formats}{path.suffix}")

    def _find(self, request: Any) -> Job:
        job = self.store.get(request.path_params["job_id"])
        if job is None:
            raise Refused(404, "there is no such job; it may have been deleted")
        return job

    @staticmethod
    def _save_as(job: Job, request: Any, suffix: str) -> str:
        """Under which name a file is saved that is shown unless ``?save`` is asked for."""
        return f"{Path(job.name).stem}{suffix}" if "save" in request.query_params else ""


def _send_picture(path: Path) -> Answer:
    try:
        return Answer(picture=path.read_bytes())
    except FileNotFoundError:
        raise Refused(404, "there is no such picture") from None


def _send(path: Path | None, **how: Any) -> Answer:
    if path is None or not path.is_file():
        raise Refused(404, "there is no such file")
    return Answer(file=path, **how)
