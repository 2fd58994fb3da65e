"""Processes that run tests on changed sources: forked from one that has the other packages imported already."""

from __future__ import annotations

import ast
import builtins
import contextlib
import gc
import importlib
import importlib.machinery
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jaxtyping
import pytest

from mutation_tests import RelatedTests, find_imports, hash_file
from mutations import Mutant

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = (
    "torch", "numpy", "scipy.linalg", "scipy.optimize", "scipy.spatial", "scipy.ndimage", "scipy.sparse", "roma",
    "jaxtyping", "beartype", "safetensors.torch", "PIL.Image", "av", "pygltflib", "hypothesis", "trimesh",
    "huggingface_hub", "tqdm", "ai_edge_litert.interpreter", "matplotlib", "torch.utils.data", "unittest.mock",
    "pytest_timeout",
)  # fmt: skip
WHOLE_TESTS = ("physics", "e2e")
"""Folders of tests that are related to every source; others are where they import one by name."""

UPPER_TESTS = ("test_training", "test_metrics", "test_datasets", "test_benchmark", "test_evaluation", "test_synthetic")
"""Tests of layers that use the sources: a slow and roundabout way to notice a fault in these."""

SHAPE_TESTS = ("tests/contract/test_shapes.py", "tests/unit/test_network_layers.py", "tests/unit/test_network_unish.py")
"""Tests that ask whether a wrong shape is refused."""

NO_ANSWER: dict = {"seconds": {}, "statements": {}, "red": "no answer"}
CPU_FACTOR, CPU_FLOOR_S = 3, 20
WALL_FACTOR = 20
"""Times what it may compute: a process that waits for nothing ends too, one on a busy machine does not."""


class Verdict:
    """What became of a fault."""

    killed, timeout, survived = "killed", "timeout", "survived"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A verdict and the test, or the reason, that it rests on."""

    verdict: str
    by: str


def preload() -> None:
    """Import what is slow to import and no fault changes, so that a forked process need not."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.chdir(REPOSITORY)
    sys.path[:0] = [str(REPOSITORY / "src")]
    for name in PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.collect()
    gc.freeze()
    if "unish" in sys.modules:
        raise SystemExit("the package is imported already: faults in it would not be seen")


def run_mutant(mutant: Mutant, source: str, related: RelatedTests) -> Outcome:
    """Run the related tests on the changed source until one fails: without shape checks, and if all pass, with them.

    Checking shapes takes most of the time of quick tests, and hardly any fault needs it to be noticed.
    """
    if not related.tests:
        return Outcome(verdict=Verdict.survived, by="no test runs through it")
    outcome = _run_tests(mutant, source, related, shapes=False)
    return outcome if outcome.verdict != Verdict.survived else _run_tests(mutant, source, related, shapes=True)


def _run_tests(mutant: Mutant, source: str, related: RelatedTests, *, shapes: bool) -> Outcome:
    changed = {str(REPOSITORY / mutant.path): mutant.apply(source).encode()}
    tests = [test for test in related.tests if shapes or not test.startswith(SHAPE_TESTS)]
    plugin = _FirstFailure(tests)

    cpu_s = int(CPU_FLOOR_S + CPU_FACTOR * related.seconds)

    def child() -> dict:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        if not shapes:
            jaxtyping.install_import_hook = lambda *names: None  # type: ignore[assignment]
        _serve_sources(changed)
        status = _run_pytest(tests, [plugin], "-x") if tests else pytest.ExitCode.OK
        return {"status": int(status), "by": plugin.failed}

    answer = _fork(child, timeout_s=WALL_FACTOR * cpu_s)
    if answer is None:
        return Outcome(verdict=Verdict.timeout, by="out of time")
    if answer["status"] == pytest.ExitCode.OK:
        return Outcome(verdict=Verdict.survived, by=f"{len(related.tests)} tests passed")
    if answer["status"] == pytest.ExitCode.USAGE_ERROR:
        raise SystemExit("the related tests cannot be collected: bring the map up to date (--map)")
    return Outcome(verdict=Verdict.killed, by=answer["by"] or "the tests cannot be imported")


def make_map(sources: list[Path], out: Path, select: str, *, quiet: bool) -> None:
    """Run every related test file whose own text, or a source that it runs through, is not the one mapped before.

    The map is written after each file, so that a run that was stopped goes on where it was.
    """
    hashes = {_name(path): hash_file(path) for path in sources}
    inputs = {_name(path): hash_file(path) for path in (REPOSITORY / "tests").rglob("*.py")}
    shared = {file: text for file, text in inputs.items() if not Path(file).name.startswith("test_")}
    old = json.loads(out.read_text()) if out.is_file() else {}
    known = old.get("sources", {})
    changed = {path for path in hashes.keys() | known.keys() if hashes.get(path) != known.get(path)}
    files = {}
    if (old.get("select"), old.get("shared")) == (select, shared):
        for file, entry in old["files"].items():
            touched = {place.rpartition(":")[0] for places in entry["statements"].values() for place in places}
            if entry["hash"] == inputs.get(file) and changed.isdisjoint(touched | set(entry["imports"])):
                files[file] = entry
    imports = {file: find_imports(REPOSITORY / file, REPOSITORY) for file in inputs.keys() - shared.keys()}
    related = {file for file, names in imports.items() if not hashes.keys().isdisjoint(names)}
    related |= {file for file in imports if file.split("/")[1] in WHOLE_TESTS}
    missing = sorted(file for file in related - files.keys() if not Path(file).name.startswith(UPPER_TESTS))
    out.parent.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(missing):
        start = time.monotonic()
        found = _map_file(file, sources, select)
        files[file] = {
            "hash": inputs[file], "imports": imports[file],
            "seconds": found["seconds"], "statements": found["statements"],
        }  # fmt: skip
        out.write_text(json.dumps({"select": select, "sources": hashes, "shared": shared, "files": files}))
        if not quiet:
            took = time.monotonic() - start
            tests = len(found["seconds"])
            print(f"map {number + 1}/{len(missing)} {file}: {tests} tests, {took:.0f} s {found['red']}", flush=True)
    out.write_text(json.dumps({"select": select, "sources": hashes, "shared": shared, "files": files}))


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _map_file(file: str, sources: list[Path], select: str) -> dict:
    def child() -> dict:
        recorder = _Recorder()
        marked = {str(path): _mark(path, recorder) for path in sources}
        builtins.mutation_note = recorder.note  # type: ignore[attr-defined]
        _serve_sources(marked)
        _run_pytest([file], [recorder], "-m", select)
        return recorder.results()

    answer = _fork(child, timeout_s=1800)
    return answer or NO_ANSWER


def _mark(path: Path, recorder: _Recorder) -> bytes:
    """The source with a note before every statement of a function."""
    name = _name(path)
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                for field in ("body", "orelse", "finalbody"):
                    block = getattr(node, field, None)
                    if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                        setattr(node, field, _mark_block(block, name, recorder, docstring=node is function))
    return ast.unparse(ast.fix_missing_locations(tree)).encode()


def _mark_block(block: list[ast.stmt], name: str, recorder: _Recorder, *, docstring: bool) -> list[ast.stmt]:
    marked: list[ast.stmt] = []
    for index, statement in enumerate(block):
        is_note = (
            isinstance(statement, ast.Expr)
            and getattr(getattr(statement.value, "func", None), "id", "") == "mutation_note"
        )
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        noted = bool(marked) and getattr(marked[-1], "notes", None) == statement.lineno
        if not (is_note or noted or (docstring and index == 0 and is_text)):
            number = recorder.number(f"{name}:{statement.lineno}")
            note = ast.parse(f"mutation_note({number})").body[0]
            note.notes = statement.lineno  # type: ignore[attr-defined]
            note.lineno = statement.lineno
            marked.append(note)
        marked.append(statement)
    return marked


class _Recorder:
    """Pytest plugin: what each test runs through, and what the fixtures of a file do."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.numbers: dict[str, int] = {}
        self.current: set[int] = set()
        self.shared: set[int] = set()
        self.found: dict[str, set[int]] = {}
        self.seconds: dict[str, float] = {}
        self.begun = 0.0
        self.red: list[str] = []

    def number(self, place: str) -> int:
        if place not in self.numbers:
            self.numbers[place] = len(self.places)
            self.places.append(place)
        return self.numbers[place]

    def note(self, number: int) -> None:
        self.current.add(number)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        self.current = self.shared
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self.current = self.found.setdefault(item.nodeid, set())
        yield
        self.current = self.shared

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.begun = time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = time.process_time() - self.begun

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            self.red.append(report.nodeid)

    def results(self) -> dict:
        passed = {test: places for test, places in self.found.items() if test not in self.red}
        return {
            "seconds": {test: round(self.seconds[test], 3) for test in passed},
            "statements": {test: sorted(self.places[number] for number in places | self.shared)
                           for test, places in passed.items()},
            "red": " ".join(test for test in self.red if test in self.found),
        }  # fmt: skip


class _FirstFailure:
    """Pytest plugin: the order of the tests, and the first that fails."""

    def __init__(self, order: list[str]) -> None:
        self.order = {test: place for place, test in enumerate(order)}
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.order.get(item.nodeid, len(self.order)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def _run_pytest(tests: list[str], plugins: list[object], *options: str) -> int:
    quick = ("-p", "pytest_timeout", "-p", "no:cacheprovider", "-p", "no:unraisableexception", "--assert=plain")
    quiet = ("-q", "--no-header", "--tb=no", "--disable-warnings")
    return pytest.main([*tests, *quick, *quiet, *options], plugins=plugins)


def _serve_sources(changed: dict[str, bytes]) -> None:
    """From here on these files have this content for whoever imports them, and no compiled form."""
    loader = importlib.machinery.SourceFileLoader
    read = loader.get_data
    compiled = {Path(path).stem for path in changed}

    def get_data(self: importlib.machinery.SourceFileLoader, path: str) -> bytes:
        if path in changed:
            return changed[path]
        if path.endswith(".pyc") and self.path in changed and Path(path).name.split(".")[0] in compiled:
            raise OSError(path)
        return read(self, path)

    loader.get_data = get_data  # type: ignore[method-assign]
    sys.dont_write_bytecode = True


def _fork(work: Callable[[], dict], *, timeout_s: float) -> dict | None:
    """What ``work`` gives in a process of its own; ``None`` when it took too long, status −1 when it died."""
    with tempfile.NamedTemporaryFile(prefix="mutation-", suffix=".json") as answer:
        child = os.fork()
        if child == 0:
            _serve_as_child(work, answer.name)
        end = time.monotonic() + timeout_s
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                ended = os.waitpid(child, 0)
            time.sleep(0.02)
        if os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) in (signal.SIGKILL, signal.SIGXCPU):
            return None
        text = Path(answer.name).read_text()
    return (
        json.loads(text)
        if text
        else {"status": -1, "by": "the process died", "seconds": {}, "statements": {}, "red": "DIED"}
    )


def _serve_as_child(work: Callable[[], dict], answer: str) -> None:
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        Path(answer).write_text(json.dumps(work()))
    finally:
        os._exit(0)
