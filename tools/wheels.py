"""Says for which platforms and Pythons the package index has a wheel of every dependency, and which are missing.

    python tools/wheels.py

Only metadata is asked for: nothing is downloaded or installed. ``make wheels`` calls this.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

from matrix import read_core_requirements

_GLIBC = (*(f"manylinux_2_{minor}" for minor in range(28, 16, -1)), "manylinux2014")
_INTEL_MACS = (*(f"macosx_{version}_0" for version in (14, 13, 12, 11)), "macosx_10_13", "macosx_10_9")
PLATFORMS = {
    "Linux x86-64": tuple(f"{glibc}_x86_64" for glibc in _GLIBC),
    "Linux arm64": tuple(f"{glibc}_aarch64" for glibc in _GLIBC),
    "macOS arm64": tuple(f"macosx_{version}_0_arm64" for version in (14, 13, 12, 11)),
    "macOS Intel": tuple(f"{version}_x86_64" for version in _INTEL_MACS),
    "Windows x86-64": ("win_amd64",),
}
"""The tags that pip on such a machine accepts; pip takes no tag for granted when it is asked for another machine."""

SOURCE_ONLY = {"pygltflib"}
"""Plain Python that is published as source, which pip builds anywhere without a compiler."""


def main(argv: list[str] | None = None) -> int:
    """Print a table; returns 0 when Linux, macOS on arm64 and Windows have everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13", "3.14"], help="versions to ask for")
    args = parser.parse_args(argv)
    requirements = [line for line in read_core_requirements() if not line.startswith(tuple(SOURCE_ONLY))]
    complete = True
    print("| platform | " + " | ".join(args.python) + " |\n| --- " + "| --- " * len(args.python) + "|")
    for name, tags in PLATFORMS.items():
        missing = [find_missing(requirements, tags, python) for python in args.python]
        complete &= name == "macOS Intel" or not any(missing)
        print(
            f"| {name} | " + " | ".join("no " + ", ".join(names) if names else "all" for names in missing) + " |",
            flush=True,
        )
    return 0 if complete else 1


def find_missing(requirements: list[str], tags: tuple[str, ...], python: str) -> list[str]:
    """Those of the requirements that have no wheel for this platform and Python."""
    if _has_wheels(requirements, tags, python):
        return []
    return [line for line in requirements if not _has_wheels([line], tags, python)]


def _has_wheels(requirements: list[str], tags: tuple[str, ...], python: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
        ]
        command += ["--target", folder, "--python-version", python, "--implementation", "cp"]
        command += [part for tag in tags for part in ("--platform", tag)]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
