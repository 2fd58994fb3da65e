"""Run a benchmark: every sequence once, the results written after each."""

from __future__ import annotations

from pathlib import Path

from unish.errors import InputError
from unish.evaluation.benchmarks import BENCHMARKS
from unish.evaluation.predictor import Predictor, make_predictor
from unish.evaluation.results import Results
from unish.structs.progress import Progress


def evaluate(
    benchmark: str,
    *,
    data: Path,
    method: str | Predictor,
    out: Path,
    progress: Progress | None = None,
    max_sequences: int | None = None,
) -> Results:
    """Score a method on a benchmark, write ``out`` (JSON) and print the table in Markdown.

    A run that was cut short goes on where it stopped, as long as method, weights, data and versions are the same. A
    sequence that cannot give a result is recorded with its message and does not stop the others.

    Args:
        benchmark: a key of ``BENCHMARKS``.
        data: the benchmark's folder; each benchmark's module says what it must hold.
        method: ``files:DIR``, whatever ``UniSH.from_pretrained`` accepts, or any object that fits ``Predictor``.
        out: the JSON file; its folder must exist.

    Raises:
        InputError: unknown benchmark or method, or the folder holds no sequence.
    """
    if benchmark not in BENCHMARKS:
        raise InputError(f"unknown benchmark {benchmark!r}; choose one of {', '.join(sorted(BENCHMARKS))}")
    chosen = BENCHMARKS[benchmark]
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; give --data the folder of the {benchmark} benchmark")
    names = chosen.sequences(data)[:max_sequences]
    if not names:
        raise InputError(f"{data}: nothing of the {benchmark} benchmark is in there; it needs {chosen.needs}")
    predictor = make_predictor(method, progress=progress) if isinstance(method, str) else method
    label = method if isinstance(method, str) else type(method).__name__
    results = Results.start(out, benchmark=benchmark, data=data, method=label, fingerprint=predictor.fingerprint)
    for number, name in enumerate(names):
        if progress is not None:
            progress(benchmark, number, len(names))
        if name in results.sequences and "error" not in results.sequences[name]:
            continue
        try:
            results.sequences[name] = chosen.score(data, name, predictor)
        except InputError as error:
            results.sequences[name] = {"error": str(error)}
        results.save(out)
    results.sequences = {name: results.sequences[name] for name in names}
    results.summary = chosen.summarise(results.sequences)
    results.save(out)
    print(results.table())
    return results
