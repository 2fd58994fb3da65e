"""From a video to a metric reconstruction: the whole journey, stage by stage, in the order that a reader expects."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

import unish
from unish.body import Body, load_body, match_shape
from unish.errors import DegradedResultWarning, InputError
from unish.export import write_glb, write_preview
from unish.io import peak_memory_mb, replaced_whole, write_json
from unish.network import UniSH, UniSHConfig
from unish.network.sky import find_sky
from unish.people import PeopleConfig, cut_crops, find_people, read_tracks
from unish.reconstruction import (
    Shot,
    ShotEvidence,
    assemble,
    camera_stood_still,
    decide_camera,
    describe_fallbacks,
    describe_people,
    estimate_ground,
    find_padding,
    intrinsics_at,
    judge,
    know_camera,
    leave_out,
    measure_certainty,
    measure_quality,
    measure_shot,
    plan_windows,
    read_facts,
    settle_shapes,
    stitch_windows,
)
from unish.settings import Settings
from unish.structs import Camera, Clip, Crops, HumanInputs, Landmarks, Prediction, Reconstruction, Tracks
from unish.structs.progress import Progress, StageClock
from unish.values import check_path
from unish.video import find_overlaid, processed_size, put_back, read_inside_bars, resize_images, show_inside_bars

PeopleFinder = Callable[[Clip, tuple[int, int]], tuple[Tracks, Landmarks]]
"""(clip, (height, width) of the masks) → people in clip pixels: what takes the place of the built-in people stage."""


@runtime_checkable
class Network(Protocol):
    """What the pipeline asks of a network; ``UniSH`` is one."""

    config: UniSHConfig

    @property
    def device(self) -> torch.device: ...

    @property
    def fingerprint(self) -> str: ...

    def __call__(
        self,
        images: Float[Tensor, "B N 3 H W"],
        humans: HumanInputs | None,
        timestamps: Float[Tensor, "B N"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
    ) -> Prediction:
        """See ``UniSH.forward``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Result:
    """A reconstruction, the body that poses it, and what ``report.json`` says."""

    reconstruction: Reconstruction
    body: Body
    report: dict[str, Any]


def reconstruct(path: str | Path, *, model: str = "small", **settings: Any) -> Reconstruction:
    """Video file or folder of images → metric scene, cameras and people.

    Keyword arguments are the fields of ``Settings``.

    Raises:
        InputError: the input, a setting or the weights cannot give a result; the message says what to do.
    """
    return run(path, settings=Settings(model=model, **settings)).reconstruction


def run(
    source: str | Path | Clip,
    *,
    settings: Settings,
    progress: Progress | None = None,
    people_finder: PeopleFinder | None = None,
    network: Network | None = None,
) -> Result:
    """The same, with the body and the report; and from a clip that is already read, or people found in another way.

    Args:
        network: takes the place of the weights that ``settings.model`` names.
    """
    torch.manual_seed(settings.seed)
    clock = StageClock(progress)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DegradedResultWarning)
        # Reading comes first: a video that cannot be read should not cost the loading of a network.
        with clock.stage("read video"):
            whole, clip = show_inside_bars(source) if isinstance(source, Clip) else _read(source, settings, progress)
        with clock.stage("load model"):
            model, body = network or _load(settings), load_body(settings.body)
            size = processed_size(clip.size, settings.size or model.config.long_side, model.config.multiple)
            images = resize_images(clip.images, size)
        with clock.stage("find people"):
            found = (people_finder or choose_people_finder(settings, progress))(clip, size)
            tracks, landmarks = _rescale_people(*found, clip.size, size)
            crops = cut_crops(images, tracks) if model.config.reads_crops else None
        sky, hidden = _find_no_scene(clip, images, tracks, settings, clock)
        with clock.stage("network"):
            known = None if settings.intrinsics is None else know_camera(settings.intrinsics, clip)
            shots = [
                _predict_shot(model, images, hidden, tracks, landmarks, crops, known, clip, frames, settings, progress)
                for frames in _split_segments(clip)
            ]
        with clock.stage("reconstruct"):
            evidence = [_evidence(tracks, landmarks, crops, clip, frames) for frames in _split_segments(clip)]
            seen = list(zip(shots, evidence, strict=True))
            betas = _average_betas(shots, model.config.body, body)
            sigma = torch.cat([measure_certainty(*one, betas, body) for one in seen], dim=1)
            betas = settle_shapes(betas, sigma, tracks.valid)
            metric = [measure_shot(*one, betas, body) for one in seen]
            grounds = [estimate_ground(shot, body) for shot in metric]
            reconstruction = assemble(
                clip, images.numpy(), tracks, landmarks, metric, grounds, betas, body, model.fingerprint, sky
            )
        with clock.stage("measure"):
            quality = measure_quality(reconstruction, metric, body)
            verdicts = judge(reconstruction, body, read_facts(metric))
            described = describe_people(reconstruction, metric, body)
    fallbacks = describe_fallbacks(metric, grounds, tracks.person_ids.tolist())
    raised = [*clip.warnings, *tracks.warnings, *(str(w.message) for w in caught), *fallbacks, *verdicts.warnings]
    report = {
        "input": clip.name if isinstance(source, Clip) else str(source),
        "settings": {key: str(v) if isinstance(v, Path) else v for key, v in asdict(settings).items()},
        "seconds": clock.seconds,
        "peak_memory_mb": peak_memory_mb(),
        "model": model.fingerprint,
        "versions": {"unish": unish.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "shots": verdicts.shots,
        "people": [person | judged for person, judged in zip(described, verdicts.people, strict=True)],
        "quality": quality,
        "warnings": list(dict.fromkeys(raised)),
    }
    return Result(reconstruction=put_back(reconstruction, whole, clip), body=body, report=report)


def write_outputs(result: Result, out: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Write ``reconstruction.npz``, ``preview.mp4``, ``scene.glb`` and ``report.json`` into the folder ``out``.

    They appear together when all are whole; an older result stays until then. See ``unish.io.replaced_whole``.

    Raises:
        InputError: another run is writing there, or an older file cannot be replaced.
    """
    out = check_path("the folder for the results", out)
    out.mkdir(parents=True, exist_ok=True)
    with replaced_whole(out) as making:
        names = write_files(result, making, progress=progress)
    return [out / name for name in names]


def write_files(result: Result, folder: Path, *, progress: Progress | None = None) -> list[str]:
    """The files of a result in an existing folder, one after the other; their names."""
    clock = StageClock(progress)
    names = ["reconstruction.npz", "preview.mp4", "scene.glb", "report.json"]
    paths = [folder / name for name in names]
    with clock.stage("save"):
        result.reconstruction.save(paths[0])
    with clock.stage("preview"):
        write_preview(
            paths[1], result.reconstruction, result.body, fps=result.report["settings"]["fps"], progress=progress
        )
    with clock.stage("export scene"):
        write_glb(paths[2], result.reconstruction, result.body)
    report = result.report | {
        "seconds": result.report["seconds"] | clock.seconds,
        "peak_memory_mb": peak_memory_mb(),
    }
    write_json(paths[3], report)
    return names


def _load(settings: Settings) -> UniSH:
    return UniSH.from_pretrained(settings.model, device=_choose_device(settings.device)).eval()


def _choose_device(wanted: str) -> str:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        # MPS has to be asked for: it has no float64, in which the cameras and bodies of a clip are solved.
        return "cuda" if present["cuda"] else "cpu"
    if not present.get(wanted, True):
        raise InputError(f"--device {wanted}: no {wanted.upper()} device was found; use --device cpu")
    return wanted


def _read(path: str | Path, settings: Settings, progress: Progress | None) -> tuple[Clip, Clip]:
    """The whole frames, and the picture inside of their bars."""
    return read_inside_bars(
        path,
        fps=settings.fps,
        source_fps=settings.source_fps,
        start=settings.start,
        end=settings.end,
        max_frames=settings.max_frames,
        progress=progress,
    )


def choose_people_finder(settings: Settings, progress: Progress | None) -> PeopleFinder:
    """Nobody when ``settings.people`` is 0, the user's own tracks, or the built-in people stage."""
    if settings.people == 0:
        return _find_nobody
    if settings.tracks is not None:
        tracks = settings.tracks
        return lambda clip, size: read_tracks(tracks, clip, mask_size=size)
    config = PeopleConfig(max_people=settings.people)
    return lambda clip, size: find_people(clip, mask_size=size, config=config, progress=progress)


def _rescale_people(
    tracks: Tracks, landmarks: Landmarks, from_size: tuple[int, int], to_size: tuple[int, int]
) -> tuple[Tracks, Landmarks]:
    """From clip pixels to those of the processed image."""
    factor = torch.tensor([to_size[1] / from_size[1], to_size[0] / from_size[0]])
    return (
        replace(tracks, boxes_xyxy=tracks.boxes_xyxy * factor.repeat(2)),
        replace(landmarks, px=torch.cat([landmarks.px[..., :2] * factor, landmarks.px[..., 2:]], dim=-1)),
    )


def _find_nobody(clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
    num_frames = clip.num_frames
    tracks = Tracks(
        person_ids=torch.zeros(0, dtype=torch.int64),
        valid=torch.zeros(0, num_frames, dtype=torch.bool),
        boxes_xyxy=torch.zeros(0, num_frames, 4),
        masks=torch.full((num_frames, *size), -1, dtype=torch.int16),
    )
    nothing = torch.zeros(0, num_frames, 33, 3)
    return tracks, Landmarks(px=nothing, world=nothing, score=torch.zeros(0, num_frames))


def _find_no_scene(
    clip: Clip, images: Tensor, tracks: Tracks, settings: Settings, clock: StageClock
) -> tuple[Bool[Tensor, "T H W"] | None, Bool[Tensor, "T H W"]]:
    """The sky, if it is asked for, and all that is no scene: the sky, padding and overlays."""
    padding = find_padding(clip, (int(images.shape[1]), int(images.shape[2])))
    if clip.picture_area is None:
        padding |= find_overlaid(images, tracks.masks >= 0, _split_segments(clip))
    if not settings.sky:
        return None, padding
    with clock.stage("find sky"):
        # Who stands before the sky is a person.
        sky = find_sky(images) & (tracks.masks < 0)
    return sky, padding | sky


def _split_segments(clip: Clip) -> list[slice]:
    """Frames of each shot; shots follow one another."""
    starts = [0, *((clip.segment.diff() != 0).nonzero()[:, 0] + 1).tolist(), clip.num_frames]
    return [slice(start, stop) for start, stop in pairwise(starts)]


@torch.inference_mode()
def _predict_shot(
    model: Network,
    images: Tensor,
    no_scene: Bool[Tensor, "T H W"],
    tracks: Tracks,
    landmarks: Landmarks,
    crops: Crops | None,
    camera: Camera | None,
    clip: Clip,
    shot: slice,
    settings: Settings,
    progress: Progress | None,
) -> Shot:
    """The network over the overlapping windows of one shot, joined into one world.

    An unknown camera is decided on the first window; the others are told, for it is one camera.
    """
    windows = plan_windows(shot.stop - shot.start, settings.window, settings.overlap)
    size = (int(images.shape[1]), int(images.shape[2]))
    predictions: list[Prediction] = []
    for window in windows:
        frames = slice(shot.start + window.start, shot.start + window.stop)
        intrinsics = None if camera is None else intrinsics_at(camera, size).expand(1, len(window), 3, 3)
        prediction = model(
            images[frames].to(model.device).permute(0, 3, 1, 2)[None].float() / 255,
            _human_inputs(tracks, landmarks, crops, frames, model.device) if tracks.num_people else None,
            _times_in_shot(clip, shot)[window.start : window.stop][None].to(model.device),
            None if intrinsics is None else intrinsics.to(model.device),
            picture_size=clip.size,
        )
        predictions.append(leave_out(_to_cpu(prediction), no_scene[frames]))
        if camera is None:
            camera = decide_camera(predictions[0], clip.size, predicted=model.config.predicts_camera)
        if progress is not None:
            progress("network", frames.stop, clip.num_frames)
    assert camera is not None
    still = camera_stood_still(images[shot], tracks.masks[shot], no_scene[shot])
    return stitch_windows(predictions, windows, tracks.valid[:, shot], camera, still=still)


def _times_in_shot(clip: Clip, shot: slice) -> Float[Tensor, "T"]:
    """Seconds from the first frame of the shot, for which float32 is exact enough; hours into a video it is not."""
    return (clip.timestamps_s[shot] - clip.timestamps_s[shot.start]).float()


def _human_inputs(
    tracks: Tracks, landmarks: Landmarks, crops: Crops | None, frames: slice, device: torch.device
) -> HumanInputs:
    return HumanInputs(
        valid=tracks.valid[None, :, frames].to(device),
        landmarks_px=landmarks.px[None, :, frames].to(device),
        landmarks_world=landmarks.world[None, :, frames].to(device),
        patches=None if crops is None else crops.patches[None, :, frames].to(device),
        bbox_info=None if crops is None else crops.bbox_info[None, :, frames].to(device),
    )


def _to_cpu(prediction: Prediction) -> Prediction:
    moved = {name: value.float().cpu() for name, value in vars(prediction).items() if value is not None}
    return Prediction(**moved)


def _evidence(tracks: Tracks, landmarks: Landmarks, crops: Crops | None, clip: Clip, shot: slice) -> ShotEvidence:
    unread = tracks.valid & ~torch.isfinite(landmarks.px).all(-1).any(-1)
    return ShotEvidence(
        timestamps_s=_times_in_shot(clip, shot),
        valid=tracks.valid[:, shot],
        masks=tracks.masks[shot],
        landmarks_px=landmarks.px[:, shot],
        boxes_xyxy=tracks.boxes_xyxy[:, shot],
        box_only=unread[:, shot] if crops is None else torch.zeros_like(tracks.valid[:, shot]),
    )


def _average_betas(shots: list[Shot], space: str, body: Body) -> Float[Tensor, "P 10"]:
    """One shape per person over all shots, in the shape space of the body that is asked for.

    Args:
        space: whose shapes the network predicts. Those of SMPL are those of any licensed file, but without one nobody
            can say what they mean.
    """
    known = [shot for shot in shots if shot.prediction.betas is not None]
    if not known:
        return torch.zeros(0, 10)
    weights = torch.stack([shot.seen.float() for shot in known])
    betas = torch.stack([shot.prediction.betas[0] for shot in known])  # type: ignore[index]
    mean = (betas * weights[..., None]).sum(0) / weights.sum(0).clamp_min(1.0)[:, None]
    if space == body.shape_space:
        return mean
    if space == "free":
        return match_shape(load_body("free"), mean, body)
    warnings.warn(
        "these weights predict shapes of SMPL, which means nothing to the free body: everybody has its mean shape; "
        "give a licensed SMPL file with --body",
        DegradedResultWarning,
        stacklevel=2,
    )
    return torch.zeros_like(mean)
