"""Run a benchmark: every sequence once, the results written after each."""

from __future__ import annotations

import difflib
import multiprocessing
import pickle
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unish.errors import InputError
from unish.lab.evaluation.benchmarks import BENCHMARKS
from unish.lab.evaluation.frame_data import ShowsFrames, frame_file
from unish.lab.evaluation.limits import FirstFrames
from unish.lab.evaluation.methods import make_predictor
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Results, Row
from unish.lab.synthetic.shards import use_one_thread
from unish.structs.progress import Progress


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is the same for all sequences."""

    benchmark: str
    data: Path
    method: str | Predictor
    body: str
    max_frames: int | None
    out: Path

    def start_method(self, progress: Progress | None) -> Predictor:
        method = self.method
        predictor = make_predictor(method, body=self.body, progress=progress) if isinstance(method, str) else method
        return predictor if self.max_frames is None else FirstFrames(predictor, self.max_frames)

    def score(self, sequence: str, predictor: Predictor) -> Row:
        """One row; under ``seconds`` the wall time of predicting and measuring, unless the benchmark has its own."""
        start = time.perf_counter()
        chosen = BENCHMARKS[self.benchmark]
        listening = _Listening(predictor)
        try:
            row = chosen.score(self.data, sequence, listening)
            if isinstance(chosen, ShowsFrames) and listening.answer is not None:
                shown = chosen.show_frames(self.data, sequence, listening.answer)
                shown.save(frame_file(self.out, sequence))
        except InputError as error:
            return {"error": str(error)}
        except Exception as error:  # one broken output must not cost the other sequences of a long run
            return {"error": _describe(error)}
        return row if "seconds" in row else row | {"seconds": round(time.perf_counter() - start, 2)}


class _Listening:
    """Takes the place of a method and keeps its latest answer."""

    def __init__(self, method: Predictor) -> None:
        self.method = method
        self.answer: Answer | None = None

    @property
    def fingerprint(self) -> str:
        return self.method.fingerprint

    def predict(self, request: Request) -> Answer:
        self.answer = self.method.predict(request)
        return self.answer


def evaluate(
    benchmark: str,
    *,
    data: Path,
    method: str | Predictor,
    out: Path,
    progress: Progress | None = None,
    max_sequences: int | None = None,
    only: Sequence[str] | None = None,
    max_frames: int | None = None,
    workers: int = 1,
    body: str = "free",
    quiet: bool = False,
) -> Results:
    """Score a method on a benchmark, write ``out`` (JSON) and print the table in Markdown.

    Benchmarks that can (``ShowsFrames``) leave data for charts in a folder beside it, see ``frame_file``.

    A run that was cut short goes on where it stopped, as long as method, weights, data, settings and versions are the
    same. A sequence that cannot give a result is recorded with its message, does not stop the others, and is tried
    again by the next run.

    Args:
        benchmark: a key of ``BENCHMARKS``.
        data: the benchmark's folder; each benchmark's module says what it must hold.
        method: whatever ``make_predictor`` accepts, or any object that fits ``Predictor``.
        out: the JSON file; its folder must exist.
        max_sequences: the first so many only.
        only: names of sequences, in place of all.
        max_frames: see ``FirstFrames``.
        workers: processes that share the sequences, each with one thread and its own copy of the method.
        body: with which SMPL file parameters are posed, see ``make_predictor``.
        quiet: print nothing.

    Raises:
        InputError: unknown benchmark, method or sequence; the folder holds no sequence; or a worker was killed.
    """
    if benchmark not in BENCHMARKS:
        raise InputError(f"unknown benchmark {benchmark!r}; choose one of {', '.join(sorted(BENCHMARKS))}")
    names = _choose_sequences(benchmark, data, only)[:max_sequences]
    job = _Job(benchmark=benchmark, data=data, method=method, body=body, max_frames=max_frames, out=out)
    predictor = job.start_method(progress if workers == 1 else None)
    results = Results.start(
        out,
        benchmark=benchmark,
        data=data,
        method=method if isinstance(method, str) else type(method).__name__,
        fingerprint=predictor.fingerprint,
        settings={"max_frames": max_frames, "body": body},
        workers=workers,
    )
    missing = [name for name in names if "error" in results.sequences.get(name, {"error": "not run"})]
    with _start(job, predictor, min(workers, len(missing))) as scored:
        for number, (name, row) in enumerate(scored(missing)):
            if progress is not None:
                progress(benchmark, len(names) - len(missing) + number + 1, len(names))
            results.sequences[name] = row
            results.save(out)
    order = {name: number for number, name in enumerate(BENCHMARKS[benchmark].sequences(data))}
    known = sorted((name for name in results.sequences if name in order), key=order.__getitem__)
    results.sequences = {name: results.sequences[name] for name in known}
    results.summary = BENCHMARKS[benchmark].summarise(results.sequences)
    results.save(out)
    if not quiet:
        print(results.table())
    return results


def _choose_sequences(benchmark: str, data: Path, only: Sequence[str] | None) -> list[str]:
    chosen = BENCHMARKS[benchmark]
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; give --data the folder of the {benchmark} benchmark")
    names = chosen.sequences(data)
    if not names:
        raise InputError(f"{data}: nothing of the {benchmark} benchmark is in there; it needs {chosen.needs}")
    for name in only or ():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3, cutoff=0.3) or names[:3]
            raise InputError(f"{benchmark} has no sequence {name!r} in {data}; it has {', '.join(near)} …")
    return names if only is None else [name for name in names if name in only]


def _describe(error: Exception) -> str:
    """Kind, message and place of a failure that no one foresaw."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {error}"


class _Scored:
    """(name, row) of sequences as they are done: here, or in the processes of a pool."""

    def __init__(self, job: _Job, predictor: Predictor, pool: ProcessPoolExecutor | None) -> None:
        self.job = job
        self.predictor = predictor
        self.pool = pool

    def __call__(self, names: Sequence[str]) -> Iterator[tuple[str, Row]]:
        if self.pool is None:
            for name in names:
                yield name, self.job.score(name, self.predictor)
            return
        try:
            asked = {self.pool.submit(_Worker.score, name): name for name in names}
            for future in as_completed(asked):
                yield asked[future], future.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker was killed, probably for its memory; what is done is kept: run again with fewer --workers"
            ) from None


@contextmanager
def _start(job: _Job, predictor: Predictor, workers: int) -> Iterator[_Scored]:
    """Processes that end with the block, however it ends."""
    if workers <= 1:
        yield _Scored(job, predictor, None)
        return
    try:
        pickle.dumps(job)
    except Exception as error:
        raise InputError(f"{type(job.method).__name__} cannot be sent to workers ({error}); use one worker") from None
    before = set(multiprocessing.active_children())
    # Forked processes would share the state of thread pools and of the detector.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_Worker.start, initargs=(job,))
    try:
        yield _Scored(job, predictor, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown()


class _Worker:
    """The state of one process of the pool."""

    job: ClassVar[_Job]
    predictor: ClassVar[Predictor]

    @classmethod
    def start(cls, job: _Job) -> None:
        # The parent alone answers Ctrl-C: it keeps what is done and ends its workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        use_one_thread()
        cls.job, cls.predictor = job, job.start_method(None)

    @classmethod
    def score(cls, sequence: str) -> Row:
        return cls.job.score(sequence, cls.predictor)
