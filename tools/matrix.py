"""Installs the package into fresh environments, one at a time, and reconstructs a real clip in each.

    python tools/matrix.py --clip walk.mp4 --table docs/research/installs.md

Each row of the table is one environment: a Python, and either the lowest or the highest versions that pyproject.toml
admits. It is made with ``python -m venv`` and ``pip install``, as the README says, from a copy of this checkout, runs
``unish reconstruct`` on six frames, then the tests that were asked for, and is removed before the next one is made.
``make matrix`` and ``make canary`` call this. It runs on any Python that is new enough and needs nothing installed.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
PYTHONS = tuple(f"python3.{minor}" for minor in range(11, 20))
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LEFT_OUT = (".git", ".venv", "__pycache__", "*.egg-info", "build", "out", "runs", "shards", ".*_cache", ".hypothesis")

HEADING = """# Where an installation was tried

Written by `tools/matrix.py`; every row is one run with the options of its last column, in an environment made for it
alone and removed afterwards. `lowest` and `highest` are the ends of the ranges in `pyproject.toml`, as far as there are
wheels for that Python. `works` means that `unish reconstruct` on six frames of a real clip ended well and found people,
and that the tests named passed where some were named. A test compares the ranges with this table.

"""


class Failed(Exception):
    """A step of a row went wrong; the message is what it said last."""


def main(argv: list[str] | None = None) -> int:
    """Run the rows; returns 0 when every one works."""
    args = _parse(argv)
    rows = []
    for python in args.python:
        for ends in args.ends:
            row = try_row(python, ends, args)
            rows.append(row)
            print(format_table([row]), flush=True)
            if args.table is not None:
                update_table(args.table, row)
    print(format_table(rows))
    return 0 if all(row["result"].startswith("works") for row in rows) else 1


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    found = [name for name in PYTHONS if shutil.which(name)]
    parser.add_argument("--python", nargs="+", default=found, help="interpreters, by name or path")
    parser.add_argument("--ends", nargs="+", choices=("lowest", "highest"), default=["lowest", "highest"])
    parser.add_argument("--clip", type=Path, help="a real clip with people (default: the sample clip of the demo)")
    on_linux = f" --index-url {CPU_INDEX}" if sys.platform == "linux" else ""
    parser.add_argument(
        "--torch", default="torch" + on_linux, help="what pip installs first; '' takes the one of the system's Python"
    )
    parser.add_argument("--tests", nargs="*", default=[], help="tests to run as well, with the extra `dev`")
    parser.add_argument("--table", type=Path, help="Markdown file whose rows are added to, or replaced")
    args = parser.parse_args(argv)
    if not args.python:
        parser.error(f"none of {', '.join(PYTHONS)} is on the path; give --python")
    return args


def read_ranges() -> dict[str, tuple[str, str]]:
    """Lowest version and excluded upper end of every dependency that has both, those of the extras included."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        lines += extra
    found = (re.fullmatch(r"([\w.-]+)>=([\d.]+),<([\d.]+)", line) for line in lines)
    return {match[1]: (match[2], match[3]) for match in found if match}


def read_core_requirements() -> list[str]:
    """What every installation needs, as the project file says it."""
    return list(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"])


def try_row(python: str, ends: str, args: argparse.Namespace) -> dict[str, str]:
    """One environment from making to removing: what was in it and what came of it."""
    row = {"python": python, "versions": ends, "machine": f"{_system()} {platform.machine()}"}
    with tempfile.TemporaryDirectory(prefix="unish-matrix-") as name:
        folder = Path(name)
        try:
            binaries = make_environment(python, ends, folder, args)
            row |= read_versions(binaries)
            row["result"] = reconstruct(binaries, folder, args.clip)
            if args.tests:
                row |= run_tests(binaries, folder, args.tests)
                row["result"] += f"; passed: {' '.join(args.tests)}"
        except Failed as error:
            row["result"] = f"fails: {error}"
    shown = [f"--python {Path(python).name} --ends {ends}"]
    shown += [f"--torch {shlex.quote(args.torch)}"] if CPU_INDEX not in args.torch else []
    row["command"] = "`" + " ".join(shown) + "`"
    return row


def make_environment(python: str, ends: str, folder: Path, args: argparse.Namespace) -> Path:
    """Install a copy of the checkout into a new environment; returns the folder of its programs."""
    system = [] if args.torch else ["--system-site-packages"]
    _run([python, "-m", "venv", *system, str(folder / "venv")])
    binaries = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    constraints = folder / "constraints.txt"
    constraints.write_text(_lowest_versions(binaries, folder, args) if ends == "lowest" else "", encoding="utf-8")
    pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    if args.torch:
        _run([*pip, *shlex.split(args.torch)])
    _run([*pip, str(folder / "source")])
    if args.tests:
        _run([*pip, f"{folder / 'source'}[dev]"])
    return binaries


def _lowest_versions(binaries: Path, folder: Path, args: argparse.Namespace) -> str:
    """Constraints that hold every dependency at its lowest version with a wheel for this Python.

    pip cannot look for lowest versions, so uv does; pip installs them. A torch that was asked for by version stays.
    """
    python = str(binaries / "python")
    _run([python, "-m", "pip", "install", "--quiet", "uv"])
    options = ["--resolution", "lowest-direct", "--only-binary", ":all:", "--no-binary", "pygltflib", "--quiet"]
    options += ["--no-annotate", "--no-header", "--extra", "dev", str(folder / "source" / "pyproject.toml")]
    resolved = _run([python, "-m", "uv", "pip", "compile", *options]).splitlines()
    ranges = {name.lower().replace("_", "-") for name in read_ranges()}
    if not args.torch or "==" in args.torch:
        ranges.remove("torch")
    return "".join(f"{line}\n" for line in resolved if line.split("==")[0] in ranges)


def read_versions(binaries: Path) -> dict[str, str]:
    """Python and every dependency with a range, as installed there."""
    names = ["torch", *(name for name in read_ranges() if name != "torch")]
    code = (
        "import importlib.metadata as m, json, platform\n"
        f"names = {names!r}\n"
        "have = {d.metadata['Name'].lower().replace('_', '-') for d in m.distributions()}\n"
        "print(json.dumps({'python': platform.python_version()} |"
        " {n: m.version(n) for n in names if n.lower().replace('_', '-') in have}))"
    )
    return json.loads(_run([str(binaries / "python"), "-c", code]))


def reconstruct(binaries: Path, folder: Path, clip: Path | None) -> str:
    """Six frames of the clip; returns what to write into the table."""
    if clip is None:
        clip = Path(_run([str(binaries / "unish"), "assets", "fetch", "demo-video", "--quiet"]).splitlines()[-1])
    out, start = folder / "out", time.monotonic()
    options = ["--out", str(out), "--max-frames", "6", "--quiet"]
    _run([str(binaries / "unish"), "reconstruct", str(clip.resolve()), *options], cwd=folder)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    if not report["people"] or not (out / "reconstruction.npz").stat().st_size:
        raise Failed("nobody was found in the clip")
    return f"works ({len(report['people'])} people, {time.monotonic() - start:.0f} s)"


def run_tests(binaries: Path, folder: Path, tests: list[str]) -> dict[str, str]:
    """Run tests of the copied checkout; returns the versions with the extra ``dev`` in place."""
    _run([str(binaries / "python"), "-m", "pytest", "-q", "-x", *tests], cwd=folder / "source")
    return read_versions(binaries)


def _system() -> str:
    """Such as "Debian GNU/Linux 13 (trixie)"."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _run(command: list[str], *, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith(("error", "unish: error", "failed"))]
        raise Failed(f"{Path(command[0]).name} {' '.join(command[1:4])}: {(errors or said or ['no word'])[-1][:300]}")
    return done.stdout


def format_table(rows: list[dict[str, str]]) -> str:
    """Markdown, one row an environment."""
    columns = ["python", "versions", "machine", "result", *read_ranges(), "command"]
    lines = [columns, ["---"] * len(columns), *([row.get(key, "") for key in columns] for row in rows)]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |\n" for line in lines)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a file that ``update_table`` wrote; none when there is no file."""
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def update_table(path: Path, row: dict[str, str]) -> None:
    """Put one row into the file, in place of an earlier run of the same command."""
    others = [old for old in read_table(path) if (old["command"], old["machine"]) != (row["command"], row["machine"])]
    rows = sorted([*others, row], key=lambda one: [int(part) for part in re.findall(r"\d+", one["python"])])
    path.write_text(HEADING + format_table(rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
