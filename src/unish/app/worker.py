"""The queue: one run at a time, and beside it one thing at a time that is done with finished results."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from unish.app.choices import write_options
from unish.app.jobs import CANCELLED, DONE, FAILED, RUNNING, WAITING, Job, JobStore
from unish.app.limits import Limits
from unish.app.packing import pack_export
from unish.app.processes import Ended, end_leftover, run_command, unish_command
from unish.app.stages import StageTimes
from unish.edits import FORMAT
from unish.errors import InputError
from unish.io import write_json

_MOST_STARTS = 3
"""A run that the app itself did not survive so often may be the reason, and is not begun again."""
_TIDY_S = 3600.0


@dataclass
class Worker:
    """Runs what the jobs of a store wait for, until it is stopped.

    Attributes:
        program: the words before the name of a ``unish`` command.
        people_program: the words before the folders that ``unish.app.people`` takes.
        progress: of the jobs that are being worked on.
    """

    store: JobStore
    limits: Limits
    program: Sequence[str] = field(default_factory=unish_command)
    people_program: Sequence[str] = (sys.executable, "-m", "unish.app.people")
    progress: dict[str, StageTimes] = field(default_factory=dict)
    _loops: list[asyncio.Task[None]] = field(default_factory=list)
    _steps: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: asyncio.Queue[tuple[str, str, list[str]]] = field(default_factory=asyncio.Queue)

    def start(self) -> None:
        """Begin, with what an earlier run of the app has left undone. To be called in a running loop."""
        for job in self.store.all():
            if job.process:
                end_leftover(job.process, self.store.folder(job))
            if job.state == RUNNING:
                self.store.update(job, state=WAITING, process=0)
            elif job.wanted_edits is not None:
                self.store.update(job, task="", process=0)
                self.refine(job, job.wanted_edits)
            elif job.task:
                self.store.update(job, task="", task_error="interrupted by a restart; ask for it again", process=0)
        self._work.set()
        self._loops = [asyncio.create_task(loop) for loop in (self._run_jobs(), self._run_tasks(), self._tidy())]

    async def stop(self) -> None:
        """End all processes. Jobs stay as they are, so that the next start goes on with them."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for job in self.store.all():
            if job.state == RUNNING:  # the run is not to blame that it was interrupted
                self.store.update(job, process=0, started=job.started - 1)

    def wake(self) -> None:
        """A job waits."""
        self._work.set()

    def refine(self, job: Job, edits: list[dict[str, Any]]) -> None:
        """Have the result of a finished job brought to these edits, the complete list."""
        begun = self.store.get(job.job_id)
        self.store.update(job, wanted_edits=edits, task="refine", task_error="")
        # While one waits, another list takes its place.
        if begun is None or begun.task != "refine":
            self._tasks.put_nowait((job.job_id, "refine", []))

    def export(self, job: Job, formats: list[str]) -> None:
        """Have a finished job written in other formats."""
        self.store.update(job, task="export", task_error="")
        self._tasks.put_nowait((job.job_id, "export", formats))

    def film(self, job: Job) -> None:
        """Have the film of a finished job drawn, as its result is now."""
        self.store.update(job, task="film", task_error="")
        self._tasks.put_nowait((job.job_id, "film", []))

    async def cancel(self, job: Job) -> None:
        """End a job that waits or runs and remove its files, or end what is done with its result, which stays."""
        if job.state == WAITING:
            self.store.clear(self.store.update(job, state=CANCELLED))
            return
        step = self._steps.get(job.job_id)
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        now = self.store.get(job.job_id)
        if now is None:
            return
        if now.state == RUNNING:
            self.store.update(now, state=CANCELLED, process=0)
            self.store.clear(now)
        elif now.task:
            self.store.update(now, task="", wanted_edits=None, task_error="cancelled", process=0)

    # One at a time ----------------------------------------------------------------------------------------------

    async def _run_jobs(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while waiting := self.store.waiting():
                await self._supervise(waiting[0].job_id, self._run(waiting[0]))

    async def _run_tasks(self) -> None:
        while True:
            job_id, kind, formats = await self._tasks.get()
            job = self.store.get(job_id)
            if job is None or job.task != kind:
                continue  # cancelled or deleted while it waited
            work: dict[str, Callable[[Job], Coroutine[Any, Any, None]]] = {
                "refine": self._refine,
                "film": self._draw_film,
                "export": partial(self._export, formats=formats),
            }
            await self._supervise(job_id, work[kind](job))

    async def _tidy(self) -> None:
        while True:
            self.store.delete_old(self.limits.keep_days)
            await asyncio.sleep(_TIDY_S)

    async def _supervise(self, job_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Do it so that it can be cancelled alone, and so that nothing that goes wrong with it ends the queue."""
        step = asyncio.create_task(work)
        self._steps[job_id] = step
        try:
            await asyncio.wait([step])
        except asyncio.CancelledError:
            step.cancel()
            await asyncio.wait([step])
            raise
        finally:
            del self._steps[job_id]
            self.progress.pop(job_id, None)
        error = None if step.cancelled() else step.exception()
        job = self.store.get(job_id)
        if error is not None and job is not None:
            sentence = f"{error}" if isinstance(error, InputError | OSError) else f"internal failure: {error!r}"
            self._fail(job, Ended(code=1, error=sentence))

    # What is done -----------------------------------------------------------------------------------------------

    async def _run(self, job: Job) -> None:
        """From the video to a result that can be looked at."""
        store = self.store
        if job.started >= _MOST_STARTS:
            return self._fail(
                job, Ended(code=1, error=f"interrupted {job.started} times; upload it again to try once more")
            )
        job = store.update(job, state=RUNNING, started=job.started + 1, error="")
        self.limits.check_disk(store.work)
        store.result(job).mkdir(exist_ok=True)
        # A name may begin with a dash: as a part of the option it is no option of its own.
        words = [
            "reconstruct", str(store.folder(job) / job.video), "--out", str(store.result(job)), f"--title={job.name}",
        ]  # fmt: skip
        ended = await self._command(job, [*self.program, *words, *write_options(job.options), "--progress", "json"])
        if ended.code:
            return self._fail(job, ended)
        shown = await self._show(job)
        store.update(job, state=DONE, process=0, error=self._clean(job, shown.error))

    async def _show(self, job: Job) -> Ended:
        """What the page shows of a result: the static page, and people with their pictures and places."""
        result, shown = self.store.result(job), self.store.shown(job)
        shown.mkdir(exist_ok=True)
        for name in ("page.html", "people.json"):  # what cannot be made anew would show an earlier result
            (shown / name).unlink(missing_ok=True)
        people = [*self.people_program, str(result), str(shown)]
        if job.options.get("blur_faces"):
            people.append("--blur-faces")
        page = [
            *self.program, "view", str(result), "--static", str(shown / "page.html"), f"--title={job.name}", "--quiet",
        ]  # fmt: skip
        ended = Ended(code=0)
        for stage, words in (("people table", people), ("3D page", page)):
            self._tell(job, {"stage": stage, "done": 0, "total": None})
            found = await self._command(job, words)
            ended = found if found.code else ended
        return ended

    async def _refine(self, job: Job) -> None:
        store, edits = self.store, job.wanted_edits or []
        path = store.folder(job) / "edits.json"
        write_json(path, {"format": FORMAT, "edits": edits})
        self._tell(job, {"stage": "apply edits", "done": 0, "total": None})
        ended = await self._command(job, [*self.program, "refine", str(store.result(job)), str(path)])
        if ended.code == 0:
            store.update(job, edits=edits, downloads={})
            shutil.rmtree(store.folder(job) / "exports", ignore_errors=True)
            ended = await self._show(job)
        now = store.get(job.job_id)
        assert now is not None
        if now.wanted_edits != edits:  # another list has come meanwhile
            self._tasks.put_nowait((job.job_id, "refine", []))
            return
        store.update(job, task="", wanted_edits=None, task_error=self._clean(job, ended.error), process=0)

    async def _draw_film(self, job: Job) -> None:
        self._tell(job, {"stage": "preview", "done": 0, "total": None})
        ended = await self._command(job, [*self.program, "refine", str(self.store.result(job)), "--preview", "--quiet"])
        self.store.update(job, task="", task_error=self._clean(job, ended.error), process=0)

    async def _export(self, job: Job, formats: list[str]) -> None:
        store = self.store
        exports = store.folder(job) / "exports"
        target = exports / "-".join(formats)
        target.mkdir(parents=True, exist_ok=True)
        try:
            self._tell(job, {"stage": f"export {', '.join(formats)}", "done": 0, "total": None})
            options = [word for name in formats for word in ("--to", name)]
            ended = await self._command(
                job, [*self.program, "export", str(store.result(job)), *options, "--out", str(target), "--quiet"]
            )
            downloads = dict(job.downloads)
            if ended.code == 0:
                downloads["+".join(formats)] = await asyncio.to_thread(pack_export, target, exports)
            store.update(job, task="", task_error=self._clean(job, ended.error), downloads=downloads, process=0)
        finally:
            shutil.rmtree(target, ignore_errors=True)

    async def _command(self, job: Job, words: Sequence[str]) -> Ended:
        return await run_command(
            words, self.store.folder(job) / "log.txt",
            started=lambda process: self._note_process(job, process),
            tell=lambda line: self._tell(job, line),
        )  # fmt: skip

    def _note_process(self, job: Job, process: int) -> None:
        self.store.update(job, process=process)

    def _tell(self, job: Job, line: dict[str, Any]) -> None:
        self.progress.setdefault(job.job_id, StageTimes()).add(line, time.monotonic())
        self.store.changed(job.job_id)

    def _fail(self, job: Job, ended: Ended) -> None:
        """The sentence stays, the files of a first run go."""
        error = self._clean(job, ended.error)
        if job.state == DONE:
            self.store.update(job, task="", wanted_edits=None, task_error=error, process=0)
            return
        self.store.clear(self.store.update(job, state=FAILED, error=error, process=0))

    def _clean(self, job: Job, sentence: str) -> str:
        """Without our names of files: the video is called what the user called it."""
        folder = self.store.folder(job)
        return sentence.replace(str(folder / job.video), job.name).replace(job.video, job.name)
