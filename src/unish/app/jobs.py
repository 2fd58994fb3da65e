"""Jobs and their folders: everything that is known of a job lies on the disk, so that a restart forgets nothing.

WORK/uploads/             videos on their way in; emptied at the start
WORK/jobs/ID/job.json     what is known of the job
WORK/jobs/ID/video.*      the video; its name is ours, the user's is text in job.json
WORK/jobs/ID/result/      what `unish reconstruct` writes, and `unish refine` changes
WORK/jobs/ID/shown/       page, pictures of people and their places
WORK/jobs/ID/exports/     files to download
WORK/jobs/ID/log.txt      what the commands have said
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from unish.io import write_json

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
OPEN = (WAITING, RUNNING)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One video and what was made of it.

    Attributes:
        job_id: 16 hexadecimal digits, random.
        name: what the user's file was called: text to show, never a path.
        created_s, changed_s: seconds since 1970.
        state: waiting, running, done, failed or cancelled.
        options: of ``unish reconstruct``, see ``choices``.
        video: name of the file in the job's folder.
        seconds, width, height: of the video.
        num_bytes: of the video.
        error: the sentence in which the run, or its page, ended.
        process: the process group that works on the job, 0 for none.
        started: how often the run was begun and not ended by the app; more than once if the app was killed.
        edits: those that the result has.
        wanted_edits: those that it is to have, until ``unish refine`` has ended; ``None`` for no change.
        task: what is being done with a finished result: refine, export, film, or nothing.
        task_error: the sentence in which the last one ended.
        downloads: file of ``exports`` by the formats in it.
    """

    job_id: str
    name: str
    created_s: float
    changed_s: float
    state: str = WAITING
    options: dict[str, Any] = field(default_factory=dict)
    video: str = ""
    seconds: float | None = None
    width: int = 0
    height: int = 0
    num_bytes: int = 0
    error: str = ""
    process: int = 0
    started: int = 0
    edits: list[dict[str, Any]] = field(default_factory=list)
    wanted_edits: list[dict[str, Any]] | None = None
    task: str = ""
    task_error: str = ""
    downloads: dict[str, str] = field(default_factory=dict)


@dataclass
class JobStore:
    """All jobs, and the folder that they lie in. Used by one thread.

    Attributes:
        work: the folder; it is made if need be, for its owner alone.
        changed: called with the id of a job that has changed or gone.
    """

    work: Path
    changed: Callable[[str], None] = lambda job_id: None
    _jobs: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in (self.work, self.jobs_folder, self.uploads):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.uploads.iterdir():
            path.unlink()
        for folder in sorted(self.jobs_folder.iterdir()):
            job = _read_job(folder / "job.json")
            if job is None:
                shutil.rmtree(folder, ignore_errors=True)  # its upload was not finished
            else:
                self._jobs[job.job_id] = job

    @property
    def uploads(self) -> Path:
        return self.work / "uploads"

    @property
    def jobs_folder(self) -> Path:
        return self.work / "jobs"

    def folder(self, job: Job) -> Path:
        return self.jobs_folder / job.job_id

    def result(self, job: Job) -> Path:
        return self.folder(job) / "result"

    def shown(self, job: Job) -> Path:
        return self.folder(job) / "shown"

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """Oldest first."""
        return sorted(self._jobs.values(), key=lambda job: (job.created_s, job.job_id))

    def waiting(self) -> list[Job]:
        """In the order in which they begin."""
        return [job for job in self.all() if job.state == WAITING]

    def add(self, upload: Path, *, name: str, suffix: str, **facts: Any) -> Job:
        """A waiting job for an upload, which is moved into its folder."""
        now = time.time()
        job = Job(
            job_id=secrets.token_hex(8), name=name, created_s=now, changed_s=now, video=f"video{suffix}",
            num_bytes=upload.stat().st_size, **facts,
        )  # fmt: skip
        self.folder(job).mkdir(mode=0o700)
        upload.rename(self.folder(job) / job.video)
        return self._keep(job)

    def update(self, job: Job, **changes: Any) -> Job:
        """The job as it is now, with these changes, on the disk before anybody is told of them."""
        return self._keep(replace(self._jobs[job.job_id], changed_s=time.time(), **changes))

    def clear(self, job: Job) -> None:
        """Remove the files of a job; what is known of it and its log stay."""
        for path in self.folder(job).iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in ("job.json", "log.txt"):
                path.unlink(missing_ok=True)

    def delete(self, job: Job) -> None:
        """Remove everything of a job."""
        shutil.rmtree(self.folder(job), ignore_errors=True)
        self._jobs.pop(job.job_id, None)
        self.changed(job.job_id)

    def delete_old(self, keep_days: float) -> None:
        """Remove what has ended and did not change for so long; 0 keeps all."""
        oldest_s = time.time() - 86400 * keep_days
        for job in self.all():
            if keep_days and job.state not in OPEN and not job.task and job.changed_s < oldest_s:
                self.delete(job)

    def _keep(self, job: Job) -> Job:
        write_json(self.folder(job) / "job.json", asdict(job))
        self._jobs[job.job_id] = job
        self.changed(job.job_id)
        return job


def _read_job(path: Path) -> Job | None:
    """What an earlier run of the app wrote; nothing where it is no such file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        job = Job(**{one.name: values[one.name] for one in fields(Job) if one.name in values})
    except (OSError, ValueError, TypeError):
        return None
    return job if job.job_id == path.parent.name else None
