"""Do the tests notice faults? Puts small ones into the code, one at a time, and runs the tests that go through them.

    python tools/mutate.py --map                      which test goes through which statement (again after a change)
    python tools/mutate.py --sample 300 --seed 0      as many faults, drawn by lines of code
    python tools/mutate.py --survivors build/mutation/results.jsonl --map     those that no test noticed, once more

A fault is killed when a test fails, breaks or takes too long. The working tree stays as it is: the changed source
exists in the memory of a forked process, from which the tests import it (commands that tests start as processes of
their own see the unchanged source). Related tests are those that ran through the changed statement when the map was
made, those whose file imports the source first, up to ``--budget`` seconds. Results are added to ``--out``, and a run
that was stopped goes on where it was; results of tests or sources that have changed since are yours to delete. Faults
that no test can notice are listed, with the reason, in ``tools/equivalent_mutants.txt``.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import random
import sys
import threading
import time
from pathlib import Path

from mutation_runner import REPOSITORY, Verdict, make_map, preload, run_mutant
from mutation_tests import TestMap, hash_file, load_map
from mutations import Mutant, list_mutants

PACKAGE = REPOSITORY / "src" / "unish"
AREAS = (
    "api.py",
    "into_folder.py",
    "pipeline.py",
    "passes",
    "reconstruction",
    "network/camera_solve.py",
    "people",
    "geometry",
    "export",
)
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
MAX_EQUIVALENT_SHARE = 0.05


def list_sources(areas: tuple[str, ...]) -> list[Path]:
    """Sources of the areas, files or folders below the package."""
    found = []
    for area in areas:
        place = PACKAGE / area
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        if not files or not files[0].is_file():
            raise SystemExit(f"no source below src/unish is called {area}")
        found += [path for path in files if path.name != "__init__.py"]
    return found


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def draw(sources: dict[str, str], number: int, seed: int) -> list[Mutant]:
    """Faults of each file in proportion to its lines: a line with faults first, then a kind, then one of that kind."""
    generator = random.Random(seed)
    candidates = {path: list_mutants(path, source) for path, source in sources.items()}
    lines = {path: len(source.splitlines()) for path, source in sources.items() if candidates[path]}
    shares = {path: number * count / sum(lines.values()) for path, count in lines.items()}
    counts = {path: int(share) for path, share in shares.items()}
    for path in sorted(shares, key=lambda path: (counts[path] - shares[path], path))[: number - sum(counts.values())]:
        counts[path] += 1
    chosen = []
    for path, count in counts.items():
        left = list(candidates[path])
        while left and count:
            line = generator.choice(sorted({mutant.line for mutant in left}))
            kind = generator.choice(sorted({mutant.kind for mutant in left if mutant.line == line}))
            mutant = generator.choice([mutant for mutant in left if (mutant.line, mutant.kind) == (line, kind)])
            left.remove(mutant)
            try:
                compile(mutant.apply(sources[path]), path, "exec")
            except SyntaxError:
                continue
            chosen.append(mutant)
            count -= 1
    return chosen


def read_equivalent(path: Path = EQUIVALENT) -> dict[tuple[str, str, str], str]:
    """Reason by (source, line before, line after). Each entry is four lines: these three and the reason."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")] if path.is_file() else []
    entries = [block.strip().splitlines() for block in "\n".join(lines).split("\n\n") if block.strip()]
    found = {}
    for entry in entries:
        source, before, after, *reason = (line.strip() for line in entry)
        if not (before.startswith("- ") and after.startswith("+ ") and reason):
            raise SystemExit(f"{path.name}: an entry is source, '- before', '+ after' and a reason, not {entry}")
        found[source, before[2:], after[2:]] = " ".join(reason)
    return found


def read_results(path: Path) -> dict[str, dict]:
    """The last result of each fault."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def run_all(
    mutants: list[Mutant], sources: dict[str, str], tests: TestMap, args: argparse.Namespace, known: dict[str, dict]
) -> dict[str, dict]:
    """Run what has no result yet, ``args.jobs`` at a time, and add each result to ``args.out``."""
    results = {mutant.key: known[mutant.key] for mutant in mutants if mutant.key in known}
    missing = [mutant for mutant in mutants if mutant.key not in results]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lock = threading.Lock()

    def run(mutant: Mutant) -> None:
        related = tests.find_related(mutant, sources[mutant.path], budget_s=args.budget)
        start = time.monotonic()
        verdict = run_mutant(mutant, sources[mutant.path], related)
        before, after = mutant.changed_lines(sources[mutant.path])
        row = {
            "key": mutant.key, "path": mutant.path, "line": mutant.line, "kind": mutant.kind,
            "before": before, "after": after,
            "verdict": verdict.verdict, "by": verdict.by, "tests": len(related.tests),
            "seconds": round(time.monotonic() - start, 1),
        }  # fmt: skip
        with lock:
            results[mutant.key] = row
            with args.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            if not args.quiet:
                place = f"{mutant.path.removeprefix('src/unish/')}:{mutant.line}"
                print(f"{len(results)}/{len(mutants)} {verdict.verdict:9s} {place} {mutant.kind}: {verdict.by}")
                sys.stdout.flush()

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for done in [pool.submit(run, mutant) for mutant in missing]:
            done.result()
    return results


def report(mutants: list[Mutant], results: dict[str, dict], sources: dict[str, str]) -> float:
    """Print the table by area and every survivor; gives the share of killed faults, equivalent ones left out."""
    equivalent = read_equivalent()
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    survivors = []
    for mutant in mutants:
        verdict = results[mutant.key]["verdict"]
        if verdict == "survived":
            if (mutant.path, *mutant.changed_lines(sources[mutant.path])) in equivalent:
                verdict = "equivalent"
            else:
                survivors.append(mutant)
        area = mutant.path.removeprefix("src/unish/")
        area = next((name for name in AREAS if area == name or area.startswith(f"{name}/")), area)
        table[area][verdict] += 1
        table["all"][verdict] += 1
    for mutant in survivors:
        before, after = mutant.changed_lines(sources[mutant.path])
        tests = results[mutant.key]["tests"]
        print(f"\n{mutant.path}:{mutant.line} ({tests} related tests)\n- {before}\n+ {after}")
        print(mutant.diff(sources[mutant.path]))
    columns = [Verdict.killed, Verdict.timeout, Verdict.survived, "equivalent"]
    print(f"{'area':26s}" + "".join(f"{name:>11s}" for name in columns) + f"{'killed':>11s}")
    for area in [*sorted(table.keys() - {"all"}), "all"]:
        counts = table[area]
        share = 1 - counts[Verdict.survived] / max(1, counts.total() - counts["equivalent"])
        print(f"{area:26s}" + "".join(f"{counts[name]:11d}" for name in columns) + f"{share:11.1%}")
    if table["all"]["equivalent"] > MAX_EQUIVALENT_SHARE * len(mutants):
        print(f"more than {MAX_EQUIVALENT_SHARE:.0%} are called equivalent: too many to be believed")
    return 1 - len(survivors) / max(1, len(mutants) - table["all"]["equivalent"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="number of faults to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", nargs="+", default=list(AREAS), help="files or folders below src/unish")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--budget", type=float, default=60, help="seconds of related tests of a fault at most")
    parser.add_argument("--map", action="store_true", help="bring the map of tests up to date first")
    parser.add_argument("--select", default="not media and not parity", help="marker expression of tests")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "mutation" / "results.jsonl")
    parser.add_argument("--map-file", type=Path, default=REPOSITORY / "build" / "mutation" / "map.json")
    parser.add_argument("--survivors", type=Path, help="results of an earlier run: try what survived there again")
    parser.add_argument("--at-least", type=float, default=0, help="fail with a lower share of killed faults")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args(argv)
    files = list_sources(tuple(args.areas))
    sources = {name_of(path): path.read_text() for path in files}
    preload()
    if args.map or not args.map_file.is_file():
        make_map(list_sources(AREAS), args.map_file, args.select, quiet=args.quiet)
    tests = load_map(args.map_file)
    if stale := [path for path in sources if tests.sources.get(path) != hash_file(REPOSITORY / path)]:
        raise SystemExit(f"changed since the map was made (--map brings it up to date): {', '.join(stale)}")
    known = read_results(args.out)
    if args.survivors:
        keys = {key for key, row in read_results(args.survivors).items() if row["verdict"] == "survived"}
        mutants = [mutant for path in sources for mutant in list_mutants(path, sources[path]) if mutant.key in keys]
        known = {}
    else:
        mutants = draw(sources, args.sample, args.seed)
    return 0 if report(mutants, run_all(mutants, sources, tests, args, known), sources) >= args.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
