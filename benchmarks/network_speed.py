"""How fast the network is, how near to the machine's own matrix products, and how much memory it takes.

    python benchmarks/network_speed.py --quick                    # both presets, three frames, minutes
    python benchmarks/network_speed.py --presets release --frames 1 3 8 30 100 --people 1 2

Every preset and dtype runs in a process of its own, on random weights that are loaded from a file like any others (the
speed does not depend on their values). Times are the best of the repeats; rates are fractions of the best ``torch.mm``
of the same process. The results are printed and written as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from stage_costs import (
    STAGES,
    TRUNKS,
    count_flops,
    fit_cost_law,
    make_clock,
    measure_global_block,
    measure_mm_rate,
    time_stages,
    watch_memory,
)
from tqdm import tqdm

from unish import UniSH
from unish.network import PRESETS
from unish.structs import HumanInputs

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RELEASE_SIZE, SMALL_SIZE = (140, 196), (288, 512)
LAW_FRAMES = {"release": (8, 20, 40, 80), "small": (8, 30, 100, 200)}
FRAMES_PER_SECOND = 6.0


def main() -> None:
    arguments = parse_arguments()
    if arguments.worker:
        print(json.dumps(run_process(json.loads(arguments.worker))))
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: no CUDA device was found; leave the option out to measure the CPU")
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for preset in arguments.presets:
            model = arguments.weights or write_weights(preset, Path(folder))
            for dtype in arguments.dtypes if preset == "release" else ["float32"]:
                results.append(start_process(arguments, preset, dtype, str(model)))
                print_results(results[-1])
    summary = summarise(results)
    print("\n" + "\n".join(f"{name}: {value}" for name, value in summary.items()))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"summary": summary, "results": results}, indent=2) + "\n")
    print(f"written to {arguments.out}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32", "bfloat16"], help="of release")
    parser.add_argument("--frames", nargs="+", type=int, default=[1, 3, 8, 30, 100])
    parser.add_argument("--people", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--size", nargs=2, type=int, metavar=("H", "W"), help="of the images (default 140 196 / 288 512)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: see make_clock; use --threads 1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="leave out longer calls")
    parser.add_argument("--weights", metavar="PATH", help="instead of random ones, for one preset")
    parser.add_argument("--scratch", type=Path, help="folder with 7 GB to spare for random weights")
    parser.add_argument("--out", type=Path, default=Path("out/network_speed.json"))
    parser.add_argument("--quick", action="store_true", help="three frames only")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames = [3]
    return arguments


def write_weights(preset: str, folder: Path) -> Path | str:
    """A file of random weights for ``release``; the other preset comes with its own."""
    if preset != "release":
        return preset
    print("writing random weights", file=sys.stderr)
    UniSH(PRESETS[preset]()).save_pretrained(folder / preset, max_shard_size="100GB")
    return folder / preset


def start_process(arguments: argparse.Namespace, preset: str, dtype: str, model: str) -> dict[str, Any]:
    """Measure one preset in one dtype in a fresh process, whose memory holds nothing else."""
    task = {
        "preset": preset,
        "dtype": dtype,
        "model": model,
        "size": arguments.size or (RELEASE_SIZE if preset == "release" else SMALL_SIZE),
        # What is compared with the acceptance limits comes first, so that its memory is that of a fresh process.
        "cases": sorted(
            ((frames, people) for frames in arguments.frames for people in arguments.people),
            key=lambda case: (case[0] != 3, case[0], case[1]),
        ),
        "device": arguments.device,
        "clock": arguments.clock,
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "limit": arguments.limit,
    }
    command = [sys.executable, __file__, "--worker", json.dumps(task)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def run_process(task: dict[str, Any]) -> dict[str, Any]:
    """Load the network, then measure case after case (frames, people)."""
    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    device, dtype = task["device"], DTYPES[task["dtype"]]
    with torch.inference_mode():
        with watch_memory(device) as memory:
            model = UniSH.from_pretrained(task["model"], device, dtype=dtype)
            first = make_inputs(*task["cases"][0], tuple(task["size"]), device)
            model(*first)
        tokens_per_frame = count_tokens(model, tuple(task["size"]))
        results, seconds_per_frame = [], 0.0
        for frames, people in tqdm(task["cases"], desc=f"{task['preset']} {task['dtype']}", file=sys.stderr):
            expected = seconds_per_frame * frames
            if expected > task["limit"]:
                results.append({"frames": frames, "people": people, "not_run": f"it would take over {expected:.0f} s"})
                continue
            repeats = task["repeats"] if expected < task["limit"] / 5 else 1
            results.append(measure_case(model, task, frames, people, repeats))
            results[-1]["tokens"] = frames * tokens_per_frame
            seconds_per_frame = results[-1]["seconds"]["total"] / frames
        block = model.scene.decoder.blocks[1]
        law = measure_global_block(
            block, tokens_per_frame, LAW_FRAMES[task["preset"]], make_clock(task["clock"], device)
        )
    keys = ("preset", "dtype", "size", "device", "clock", "threads")
    measured = {"load_and_first_call_gb": memory, "cases": results, "global_block": law}
    return {key: task[key] for key in keys} | measured


def measure_case(model: UniSH, task: dict[str, Any], frames: int, people: int, repeats: int) -> dict[str, Any]:
    """One number of frames and people: best seconds, operations, the best matrix products before and after, memory."""
    device, preset = task["device"], task["preset"]
    clock = make_clock(task["clock"], device)
    inputs = make_inputs(frames, people, tuple(task["size"]), device)
    mm_rates = [measure_mm_rate(DTYPES[task["dtype"]], device, clock)]
    runs = []
    with watch_memory(device) as memory:
        flops = count_flops(model, preset, lambda: model(*inputs))
        for _ in range(repeats):
            runs.append(time_stages(model, preset, lambda: model(*inputs), clock))
            mm_rates.append(measure_mm_rate(DTYPES[task["dtype"]], device, clock))
    return {
        "frames": frames,
        "people": people,
        "seconds": {stage: min(run[stage] for run in runs) for stage in runs[0]},
        "flops": flops,
        "mm_flops_per_s": max(mm_rates),
        "mm_flops_per_s_least": min(mm_rates),
        "memory_gb": memory,
    }


def count_tokens(model: UniSH, size: tuple[int, int]) -> int:
    """Decoder tokens of a frame, by asking the decoder."""
    found: list[int] = []
    hook = model.scene.decoder.register_forward_hook(lambda _module, _inputs, output: found.append(output.shape[2]))
    model(*make_inputs(1, 0, size, str(model.device)))
    hook.remove()
    return found[0]


def make_inputs(frames: int, people: int, size: tuple[int, int], device: str) -> tuple[Any, ...]:
    """Random pictures, crops and landmarks: (images, humans, timestamps)."""
    shape = (1, people, frames)
    pixels = torch.tensor([size[1], size[0], 1.0])
    humans = HumanInputs(
        valid=torch.ones(shape, dtype=torch.bool, device=device),
        landmarks_px=(torch.rand(*shape, 33, 3) * pixels).to(device),
        landmarks_world=torch.randn(*shape, 33, 3, device=device) * 0.3,
        patches=torch.rand(*shape, 3, 256, 256, device=device),
        bbox_info=torch.rand(*shape, 3, device=device) * 100,
    )
    timestamps = torch.arange(frames, dtype=torch.float64, device=device)[None] / FRAMES_PER_SECOND
    return torch.rand(1, frames, 3, *size, device=device), humans if people else None, timestamps


def print_results(result: dict[str, Any]) -> None:
    """One table per number of frames and people."""
    size = "x".join(map(str, result["size"]))
    machine = f"{result['device']}, {result['threads']} threads, {result['clock']} time"
    print(f"\n{result['preset']} {result['dtype']}, {size}, {machine}")
    print("loading and the first call:", describe_memory(result["load_and_first_call_gb"]))
    for case in result["cases"]:
        print(f"\n{case['frames']} frames, {case['people']} people", end="")
        if "not_run" in case:
            print(f": not run, {case['not_run']}")
            continue
        best = case["mm_flops_per_s"]
        print(
            f", {case['tokens']} tokens; best torch.mm {best / 1e9:.0f} GFLOP/s; {describe_memory(case['memory_gb'])}"
        )
        for stage, seconds in case["seconds"].items():
            flops = case["flops"][stage]
            rate = flops / max(seconds, 1e-9)
            print(
                f"  {stage:16s} {seconds:8.3f} s {flops / 1e9:10.1f} GFLOP {rate / 1e9:8.1f} GFLOP/s {rate / best:6.1%}"
            )


def describe_memory(peaks: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} GB" for name, value in peaks.items())


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers that the project has limits for, as far as they were measured, and the cost laws."""
    release = {result["dtype"]: result for result in results if result["preset"] == "release"}
    cases = {
        (dtype, case["frames"], case["people"]): case
        for dtype, result in release.items()
        for case in result["cases"]
        if "not_run" not in case
    }
    found: dict[str, Any] = {}
    for (dtype, frames, people), case in cases.items():
        flops, seconds = (sum(case[key][trunk] for trunk in TRUNKS if people) for key in ("flops", "seconds"))
        if people == 1:
            found[f"trunks over best torch.mm, {dtype}, {frames} frames"] = flops / seconds / case["mm_flops_per_s"]
        if people == 2 and (one := cases.get((dtype, frames, 1))):
            ratio = case["seconds"]["total"] / one["seconds"]["total"]
            found[f"two people over one, {dtype}, {frames} frames"] = ratio
        if dtype != "float32" and (slow := cases.get(("float32", frames, people))):
            ratio = slow["seconds"]["total"] / case["seconds"]["total"]
            found[f"{dtype} times as fast as float32, {frames} frames, {people} people"] = ratio
    for dtype, result in release.items():
        found[f"peak memory of loading and the first call, GB, {dtype}"] = result["load_and_first_call_gb"]
        found |= describe_cost_law(dtype, result["global_block"])
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def describe_cost_law(dtype: str, law: dict[str, list[float]]) -> dict[str, Any]:
    """Cost of all global blocks = linear · T + quadratic · T², counted and timed, beside the theory of attention."""
    decoder = PRESETS["release"]().scene.decoder
    blocks = decoder.depth // 2
    _, counted = fit_cost_law(law["tokens"], law["flops"])
    linear, quadratic = fit_cost_law(law["tokens"], law["seconds"])
    return {
        f"global blocks, {dtype}: counted T² FLOPs over {blocks}·4·d": counted / (4 * decoder.dim),
        f"global blocks, {dtype}: seconds": f"{blocks * linear:.3e} T + {blocks * quadratic:.3e} T²",
        f"global blocks, {dtype}: GFLOP/s of the linear part": 24 * decoder.dim**2 / linear / 1e9,
        f"global blocks, {dtype}: GFLOP/s of the quadratic part": 4 * decoder.dim / quadratic / 1e9,
    }


if __name__ == "__main__":
    main()
