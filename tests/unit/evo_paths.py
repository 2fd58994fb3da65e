"""Camera paths that evo has scored, and how its numbers in ``evo_numbers.json`` were made.

evo is under the GPL and brings pandas, matplotlib and more, so it is no dependency, not even of the tests: its command
line tools were run once on the paths as files, and their numbers are kept. To make them again, install evo 1.38 into an
environment of its own and run ``python tests/unit/evo_paths.py BIN`` with the folder that ``evo_ape`` is in.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import roma
import torch

from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix

NUMBERS = Path(__file__).with_name("evo_numbers.json")
ALIGNMENTS = {"none": [], "rigid": ["--align"], "similarity": ["--align", "--correct_scale"]}
MEASURES = {
    "ate": ["evo_ape"],
    **{
        f"rpe_{name}_{step}": ["evo_rpe", "--pose_relation", relation, "--delta", str(step), "--all_pairs"]
        for (name, relation), step in itertools.product([("t", "trans_part"), ("r", "angle_deg")], [1, 4])
    },
}


def waves(num: int, *phases: float) -> torch.Tensor:
    """(num, len(phases)) smooth columns, the same on every machine."""
    time = torch.arange(num, dtype=torch.float64)[:, None]
    phase = torch.tensor(phases, dtype=torch.float64)
    return torch.sin(0.31 * time + phase) + 0.4 * torch.cos(0.17 * time * phase.abs().add(1))


def make_paths() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Name → predicted and true ``c2w``."""
    centres = 2 * waves(40, 0.0, 1.0, 2.5)
    true = make_rigid(axis_angle_to_matrix(0.8 * waves(40, 0.3, 1.7, 2.2)), centres)
    shaken = make_rigid(axis_angle_to_matrix(0.05 * waves(40, 2.0, 0.1, 1.1)), 0.1 * waves(40, 4.0, 5.0, 6.0)) @ true
    world = make_rigid(axis_angle_to_matrix(torch.tensor([0.4, -1.1, 0.3])).double(), torch.tensor([3.0, -2.0, 5.0]))
    moved = world.double() @ shaken
    moved[:, :3, 3] *= 0.37
    flat, mirrored = true.clone(), shaken.clone()
    flat[:, 1, 3] = 0.25
    mirrored[:, 0, 3] *= -1
    three = true[[0, 9, 23]]
    return {
        "shaken": (shaken, true),
        "moved": (moved, true),
        "flat": (shaken, flat),
        "mirrored": (mirrored, true),
        "long step": (moved[::5], true[::5]),
        "three poses": (moved[[0, 9, 23]], three),
    }


def record(programs: Path) -> None:
    """Run evo on every path and write its root mean squares."""
    numbers: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (predicted, true) in make_paths().items():
            files = [Path(folder) / f"{which}.txt" for which in ("true", "predicted")]
            for file, path in zip(files, (true, predicted), strict=True):
                file.write_text(_as_tum(path))
            numbers[name] = {
                f"{measure} {alignment}": _run(programs, command, flags, files, Path(folder) / "out.zip")
                for (measure, command), (alignment, flags) in itertools.product(MEASURES.items(), ALIGNMENTS.items())
                if len(true) > 4 or not measure.endswith("4")
            }
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")


def _as_tum(path: torch.Tensor) -> str:
    rows = torch.cat([torch.arange(len(path))[:, None], path[:, :3, 3], roma.rotmat_to_unitquat(path[:, :3, :3])], 1)
    return "".join(" ".join(f"{value:.17g}" for value in row) + "\n" for row in rows.tolist())


def _run(programs: Path, command: list[str], flags: list[str], files: list[Path], out: Path) -> float:
    program, *options = command
    arguments = [programs / program, "tum", *files, *options, *flags, "--save_results", out, "--no_warnings"]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    with zipfile.ZipFile(out) as results:
        return float(json.loads(results.read("stats.json"))["rmse"])


if __name__ == "__main__":
    record(Path(sys.argv[1]))
