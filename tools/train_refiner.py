"""Train the depth refiner on clips of the synthetic world, with everything before it frozen; every step resumes.

python tools/train_refiner.py --work build/refiner

The clips pass the shipped network once, up to the plane sweep, and what the refiner would read of them is stored beside
the truth. It then learns from that.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from unish.geometry.statistics import weighted_median
from unish.geometry.surfaces import dilate, erode
from unish.geometry.sweep import LOG_RANGE
from unish.io import written_beside
from unish.lab.synthetic import SynthConfig, make_clip
from unish.lab.synthetic.clip import plan_clip
from unish.lab.training.data.augment import degrade_images
from unish.lab.training.trainer import FitConfig, fit
from unish.network import UniSH
from unish.network.depth_refiner import DepthRefiner, Evidence, arrange_evidence, shift_logit
from unish.network.view_scene import refine_scene
from unish.structs import Reconstruction

SIZES = ((384, 512), (384, 512), (288, 512), (512, 384), (384, 512), (512, 288))
FRAMES, RATES = (4, 5, 4, 6, 4), (2.0, 3.0, 5.0)
SEED, HELD_BACK = 7201, 7202
PATH_M, TURN_DEG = 0.04, 50.0
"""A clip has parallax where its camera goes at least so far from its start, and overlap where it turns by less."""

DEGRADED, FORGOTTEN, SKY_LEFT_OUT = 0.7, 0.1, 0.5
"""Shares of clips whose pictures are spoiled, in which one person is not found, and whose sky is known."""

CANDIDATE_CHANNELS, LEVEL_CHANNEL, PEOPLE_CHANNEL = slice(0, 4), 5, 13
COLOUR_CHANNELS, PROFILE_CHANNELS = slice(14, 17), slice(17, 33)
"""Of ``arrange_evidence``."""

STEPS, BATCH, CUT = 540, 8, 64
NOISE, FORGOTTEN_CHANNELS = 0.05, 0.3  # of all maps; share of cuts without colours, and without scores along the ray
OFF = 0.02  # standard deviation of what a lesson's fused depth is moved by
FARTHEST, RIGHT = 0.6, 0.05  # log-depth: what is farther off counts as this; what is nearer than this is right
HOPELESS = 0.25  # median distance of log-depth of a clip whose cameras were not found
STEPS_COUNT, CERTAIN_COUNTS = 0.5, 0.03  # of the terms of the loss
_MIN_DEPTH = 1e-3
_SMOOTH = 32  # pixels: finer errors of the prior stay


class Recorder(DepthRefiner):
    """Keeps what the refiner is shown, and changes nothing."""

    evidence: Evidence | None = None

    def forward(self, evidence: Evidence) -> tuple[Float[Tensor, "N h w"], Float[Tensor, "N h w"]]:
        self.evidence = evidence
        return torch.zeros_like(evidence.fused), evidence.confidence


def describe_clips(folder: Path, seed: int, count: int) -> list[Path]:
    """A file for each of the first clips of a seed; those without parallax leave an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    model, paths = UniSH.from_pretrained("small"), []
    for index in range(count):
        path = folder / f"{seed}-{index:05d}.npz"
        paths.append(path)
        if path.exists():
            continue
        config = SynthConfig(
            size=SIZES[index % len(SIZES)], num_frames=FRAMES[index % len(FRAMES)], fps=RATES[index % len(RATES)],
            max_people=3, samples=1,
        )  # fmt: skip
        arrays = {}
        if has_parallax(plan_clip(np.random.default_rng([seed, index]), seed, config).camera.c2stage):
            arrays = describe_clip(model, make_clip(seed, index, config), np.random.default_rng([seed, index, 2]))
        with written_beside(path) as beside, beside.open("wb") as file:
            np.savez(file, **arrays)
        print(f"{path.name}: {'left out' if not arrays else np.abs(arrays['target']).mean().round(3)}", flush=True)
    return paths


def has_parallax(c2w: Float[ndarray, "T 4 4"]) -> bool:
    path = np.linalg.norm(c2w[:, :3, 3] - c2w[:1, :3, 3], axis=1).max()
    turn = np.degrees(np.arccos(np.clip((np.einsum("ij,tij->t", c2w[0, :3, :3], c2w[:, :3, :3]) - 1) / 2, -1, 1)))
    return bool(path > PATH_M and turn.max() < TURN_DEG)


@torch.no_grad()
def describe_clip(model: UniSH, truth: Reconstruction, rng: np.random.Generator) -> dict[str, ndarray]:
    """What the refiner reads of a clip (maps, h×w at a quarter of the pictures), and what it should say."""
    images = degrade_images(truth.images, rng) if rng.random() < DEGRADED else truth.images
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2)[None].float() / 255
    people = spoil_masks(torch.from_numpy(truth.person_masks).long(), rng)
    sky = torch.from_numpy(truth.extra["truth_sky"])
    depth = torch.from_numpy(truth.depth)
    known = (depth > 0) & ~sky
    usable = ~sky if rng.random() < SKY_LEFT_OUT else torch.ones_like(sky)
    scene = model.scene(pictures)
    log_truth = depth.clamp_min(_MIN_DEPTH).log()
    prior = scene.local_points[0, ..., 2].clamp_min(_MIN_DEPTH).log()
    change = vary_prior(log_truth - prior, known & (torch.from_numpy(truth.person_masks) < 0), prior, rng)
    scene = replace(scene, local_points=scene.local_points * change[None, ..., None].exp())
    recorder = Recorder()
    solved = refine_scene(
        pictures, scene, people=people[None], usable=usable[None], config=model.config.views, refiner=recorder
    )
    evidence = recorder.evidence
    if evidence is None or not bool(solved.joined.all()):
        return {}
    target, valid = pool_truth(log_truth, known, torch.from_numpy(truth.person_masks) >= 0, evidence.people)
    weights = (evidence.confidence + 0.05) * (valid & evidence.scene)
    level = weighted_median((target - evidence.fused).reshape(1, -1), weights.reshape(1, -1))
    return {
        "maps": arrange_evidence(evidence).half().numpy(),
        "fused": evidence.fused.numpy(),
        "target": (target - level - evidence.fused).numpy(),
        "valid": valid.numpy(),
        "confidence": evidence.confidence.numpy(),
        "scene": evidence.scene.numpy(),
        "c2w": solved.c2w[0].numpy(),
        "intrinsics": solved.intrinsics[0].numpy(),
    }


def spoil_masks(people: Int[Tensor, "N H W"], rng: np.random.Generator) -> Int[Tensor, "N H W"]:
    """Masks a few pixels too large or too small, in waves; now and then somebody is not found at all."""
    margin = torch.from_numpy(rng.normal(0, 1, (1, 1, *(side // 24 for side in people.shape[1:])))).float()
    waves = functional.interpolate(margin, people.shape[1:], mode="bicubic", align_corners=False)[0, 0]
    radius, spoiled = int(rng.integers(0, 4)), torch.full_like(people, -1)
    for person in range(int(people.max()) + 1):
        if rng.random() < FORGOTTEN:
            continue
        shown = people == person
        grown = torch.where(waves > 0, dilate(shown, radius), erode(shown, radius))
        spoiled = torch.where(grown, person, spoiled)
    return spoiled


def vary_prior(
    error: Float[Tensor, "N H W"],
    known: Bool[Tensor, "N H W"],
    prior: Float[Tensor, "N H W"],
    rng: np.random.Generator,
) -> Float[Tensor, "N H W"]:
    """Change of a prior that makes it better or worse: a share of its smooth error less, other smooth errors more.

    The prior errs in another way on photographs: the refiner is to rely on no way in which it errs on renders.
    """
    size = error.shape[1:]
    level = error[known].median() if known.any() else torch.zeros(())
    masked = torch.where(known, error - level, 0.0)[:, None]
    share = functional.avg_pool2d(known[:, None].float(), _SMOOTH)
    smooth = functional.avg_pool2d(masked, _SMOOTH) / share.clamp_min(0.1)
    smooth = functional.interpolate(smooth, size, mode="bilinear", align_corners=False)[:, 0]
    frames = len(error) if rng.random() < 0.5 else 1
    bumps = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.12), (frames, 1, 4, 5))).float()
    bumps = functional.interpolate(bumps, size, mode="bicubic", align_corners=False)[:, 0]
    middle = prior.flatten(1).median(1).values[:, None, None]
    levels = torch.from_numpy(rng.normal(0, 0.03, (len(error), 1, 1))).float()
    return rng.uniform(0, 0.9) * smooth + bumps + rng.normal(0, 0.1) * (prior - middle) + levels


def pool_truth(
    log_depth: Float[Tensor, "N H W"],
    known: Bool[Tensor, "N H W"],
    shown: Bool[Tensor, "N H W"],
    people: Bool[Tensor, "N h w"],
) -> tuple[Float[Tensor, "N h w"], Bool[Tensor, "N h w"]]:
    """The median of each small pixel, which lies on one side of a border: that of people where they are said to be."""
    stride = log_depth.shape[-1] // people.shape[-1]

    def cells(maps: Tensor) -> Tensor:
        return maps.unflatten(2, (-1, stride)).unflatten(1, (-1, stride)).movedim(2, 3).flatten(3)

    asked = cells(known) & (cells(shown) == people[..., None])
    target = torch.where(asked, cells(log_depth), torch.nan).nanmedian(-1).values
    return target.nan_to_num(0.0), asked.float().mean(-1) > 0.2


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Cuts from F frames.

    Attributes:
        maps: what the refiner reads.
        wanted: what it should add to the log-depth.
        known: where that is known, and nobody is.
        confidence: of the sweep.
    """

    maps: Float[Tensor, "F C h w"]
    wanted: Float[Tensor, "F h w"]
    known: Bool[Tensor, "F h w"]
    confidence: Float[Tensor, "F h w"]


def read_frames(paths: list[Path]) -> list[Lesson]:
    """Whole frames, one a lesson, of all clips that were not left out and whose cameras were found."""
    frames = []
    for path in paths:
        with np.load(path) as file:
            clip = {name: torch.from_numpy(file[name]) for name in file.files}
        if not clip or clip["target"][clip["valid"] & clip["scene"]].abs().median() > HOPELESS:
            continue
        known = clip["valid"] & (clip["maps"][:, PEOPLE_CHANNEL] < 0.5)
        frames += [
            Lesson(
                maps=clip["maps"][i : i + 1], wanted=clip["target"][i : i + 1], known=known[i : i + 1],
                confidence=clip["confidence"][i : i + 1],
            )
            for i in range(len(known))
        ]  # fmt: skip
    return frames


def cut_lesson(frames: list[Lesson], number: int) -> Lesson:
    """Batch ``number``: pieces of frames, mirrored, in other colours, around another fused depth."""
    rng = np.random.default_rng([SEED, 3, number])
    pieces = []
    for index in rng.integers(len(frames), size=BATCH):
        frame = frames[index]
        height, width = frame.wanted.shape[-2:]
        top, left = rng.integers(height - CUT + 1), rng.integers(width - CUT + 1)
        turned = [-1] if rng.random() < 0.5 else []
        pieces.append(
            [
                getattr(frame, name)[..., top : top + CUT, left : left + CUT].flip(turned)
                for name in Lesson.__annotations__
            ]
        )
    whole = dict(zip(Lesson.__annotations__, (torch.cat(part) for part in zip(*pieces, strict=True)), strict=True))
    return vary_lesson(
        Lesson(**whole | {"maps": whole["maps"].float().contiguous(memory_format=torch.channels_last)}), rng
    )


def vary_lesson(lesson: Lesson, rng: np.random.Generator) -> Lesson:
    """Another fused depth than the one to be changed, other colours, noise, and inputs that are not there."""
    count = len(lesson.wanted)

    def draw(sigma: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(0, sigma, (count, *shape))).float()

    off = functional.interpolate(draw(OFF, 1, 3, 3), lesson.wanted.shape[-2:], mode="bicubic", align_corners=False)
    off, maps = off[:, 0], lesson.maps.clone()
    maps[:, CANDIDATE_CHANNELS] -= off[:, None] / LOG_RANGE
    maps[:, LEVEL_CHANNEL] += off / 2
    maps[:, COLOUR_CHANNELS] *= draw(0.3, 1, 1, 1).exp() * draw(0.1, 3, 1, 1).exp()
    for channels in (COLOUR_CHANNELS, PROFILE_CHANNELS):
        maps[:, channels] *= torch.from_numpy(rng.random((count, 1, 1, 1)) > FORGOTTEN_CHANNELS)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    maps += NOISE * torch.randn(maps.shape, generator=generator)
    return replace(lesson, maps=maps, wanted=lesson.wanted - off)


def compute_loss(model: DepthRefiner, lesson: Lesson) -> tuple[Tensor, dict[str, Tensor]]:
    """Distance of log-depth, of its steps from pixel to pixel, and cross-entropy of "the depth is right"."""
    step, logit = model.judge(lesson.maps)
    known = lesson.known.float()
    off = step - lesson.wanted
    depth = (known * off.abs().clamp_max(FARTHEST)).sum() / known.sum().clamp_min(1)
    steps = []
    for axis in (-1, -2):
        pairs = off.shape[axis] - 1
        both = known.narrow(axis, 0, pairs) * known.narrow(axis, 1, pairs)
        steps.append((both * off.diff(dim=axis).abs().clamp_max(FARTHEST)).sum() / both.sum().clamp_min(1))
    right = 1 / (1 + (off.detach() / RIGHT).square())
    certain = functional.binary_cross_entropy_with_logits(
        shift_logit(lesson.confidence, logit), right, known, reduction="sum"
    ) / known.sum().clamp_min(1)
    loss = depth + STEPS_COUNT * sum(steps) + CERTAIN_COUNTS * certain
    return loss, {"depth": depth.detach(), "steps": sum(steps).detach(), "certain": certain.detach()}  # type: ignore


@torch.no_grad()
def measure(model: DepthRefiner, frames: list[Lesson]) -> dict[str, float]:
    """Mean distance of log-depth before and after."""
    before, after = [], []
    for frame in frames:
        if frame.known.any():
            step, _ = model.judge(frame.maps.float())
            before.append(float(frame.wanted[frame.known].abs().mean()))
            after.append(float((frame.wanted - step)[frame.known].abs().mean()))
    return {"before": float(np.mean(before)), "after": float(np.mean(after))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=170)
    parser.add_argument("--held-back", type=int, default=30, help="clips to measure on")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lessons = read_frames(describe_clips(arguments.work / "clips", SEED, arguments.clips))
    held_back = read_frames(describe_clips(arguments.work / "held_back", HELD_BACK, arguments.held_back))
    fit(
        DepthRefiner().to(memory_format=torch.channels_last),
        compute_loss,  # type: ignore[arg-type]
        lambda number: cut_lesson(lessons, number),
        config=FitConfig(
            steps=arguments.steps, learning_rate=1.5e-3, weight_decay=0.1, warmup_steps=100, ema_decay=0.995,
            checkpoint_every=200, validate_every=200,
        ),
        run_dir=arguments.work / "run",
        resume=True,
        validate=lambda model: measure(model, held_back),  # type: ignore[arg-type]
    )  # fmt: skip
