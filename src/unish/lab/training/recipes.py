"""Full training runs. What decides a result stands in the rows below: what trains, on what, by which losses.

| row | trains | frozen | data | losses |
|---|---|---|---|---|
| ``DEPTH`` | scene: decoder, dense head, focal head | encoder, depth prior | ``SCENE_MIX`` | depth, confidence, focal |
| ``CROP_EXPERT`` | depth of people in crops | image encoder | ``EXPERT_WORLD`` | ``CropWeights`` |
| ``DISTILL`` | scene: dense head | the rest | ``DISTILL_WORLD`` or videos, no truth | ``DistillWeights`` |
| ``LIFTER`` | human branch | – | motion, simulated landmarks | ``LifterConfig`` |
| ``COARSE`` | AlignNet | scene, human | ``COARSE_WORLD`` with exact bodies | ``CoarseWeights`` |
| ``FINE`` | AlignNet | scene, human | ``STRANGE_WORLD`` or videos, no truth | ``FineWeights`` |
| ``PAPER_COARSE``, ``PAPER_FINE`` | AlignNet (and human in coarse) | scene | BEDLAM; a folder of videos | the same |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.shards import ShardConfig
from unish.lab.training.data import SceneDataConfig
from unish.lab.training.experts.crop_training import CropExpertStage, CropWeights, train_crop_expert
from unish.lab.training.landmarks import LandmarkDataConfig
from unish.lab.training.lifter import LifterConfig, train_lifter
from unish.lab.training.losses.distillation import DistillationConfig
from unish.lab.training.scene import SceneLossWeights
from unish.lab.training.stages.coarse import CoarseWeights
from unish.lab.training.stages.distill import DistillStage, DistillWeights
from unish.lab.training.stages.domains import COARSE_WORLD, DISTILL_WORLD, EXPERT_WORLD, STRANGE_WORLD, Domain
from unish.lab.training.stages.fine import FineWeights
from unish.lab.training.stages.localise import LocaliseStage
from unish.lab.training.stages.localiser import build_network
from unish.lab.training.stages.paper import PaperPlan, run_paper_plan
from unish.lab.training.stages.people_clips import PeopleConfig
from unish.lab.training.stages.plan import Plan, distill_trained, localise_trained, run_plan, train_scene
from unish.lab.training.stages.scene import SceneMix, SceneStage
from unish.lab.training.trainer import FitConfig
from unish.network import UniSH
from unish.network.config import release_config, small_config, tiny_config
from unish.network.crop_net import CropNet, CropNetConfig
from unish.network.human.landmark_branch import LandmarkBranch, LandmarkBranchConfig
from unish.network.small_scene import SmallScene

Recipe = Callable[..., nn.Module]

# Data ---------------------------------------------------------------------------------------------------------------

# Small pictures, short clips, many places: variety of place teaches more than another frame of the same one.
_PEOPLE_SHARDS = ShardConfig(
    sizes=((128, 192), (192, 128), (144, 192), (160, 160), (112, 192)),
    clips_per_shard=16,
    clip=SynthConfig(num_frames=6, fps=None),
)
# Rooms without people, filmed from near by, need as many again: there everything but a person has to be understood.
_ROOM_SHARDS = replace(_PEOPLE_SHARDS, clip=replace(_PEOPLE_SHARDS.clip, place="room", max_people=0))
SCENE_MIX = SceneMix(kinds=(_PEOPLE_SHARDS, _ROOM_SHARDS), num_shards=200, seed=1)

# Stages -------------------------------------------------------------------------------------------------------------

DEPTH = SceneStage(
    name="depth",
    losses=SceneLossWeights(log_depth=1.0, points=0.3, edges=0.5, anchor=0.2, confidence=0.1, focal=0.5),
    data=SceneDataConfig(num_clips=3, num_frames=4, long_sides=(160, 160, 192), max_stride=3),
    fit=FitConfig(
        steps=12_000, learning_rate=6e-4, warmup_steps=200, precision="bfloat16", ema_decay=0.998, log_every=50,
        checkpoint_every=200, validate_every=1000,
    ),
)  # fmt: skip

CROP_EXPERT = CropExpertStage(
    name="crop-expert",
    world=EXPERT_WORLD,
    num_clips=640,
    losses=CropWeights(relief=2.0, normals=1.0),
    fit=FitConfig(
        steps=1600, learning_rate=1.5e-3, warmup_steps=50, ema_decay=0.99, log_every=20, checkpoint_every=200,
        validate_every=400,
    ),
)  # fmt: skip
DISTILL = DistillStage(
    name="distill",
    expert=CROP_EXPERT,
    world=DISTILL_WORLD,
    num_clips=400,
    losses=DistillWeights(detail=10.0, normals=1.0, forgetting=6.0, place=3.0, confidence=1.0),
    fit=FitConfig(
        steps=600, learning_rate=1e-3, warmup_steps=20, ema_decay=0.97, log_every=20, checkpoint_every=100,
    ),
    # The solver's work grows with the square of the samples.
    neighbourhoods=DistillationConfig(num_anchors=16, num_samples=32),
    share=0.75,
)  # fmt: skip

LIFTER = LifterConfig()

_PEOPLE = PeopleConfig(long_side=160)  # the working size of ``small``
COARSE = LocaliseStage(
    name="coarse",
    trains_human=False,  # ours comes trained, on the same errors of landmarks and on far more motion
    world=COARSE_WORLD,
    people=_PEOPLE,
    num_clips=2048,
    losses=CoarseWeights(
        transl=30.0, root=30.0, width=0.1, scale=3.0, picture=2.0, vertices=1.0, joints=1.0, pose=0.05, shape=0.01,
    ),
    fit=FitConfig(
        steps=5000, learning_rate=1e-3, warmup_steps=50, weight_decay=0.02, clip_norm=5.0, ema_decay=0.98,
        log_every=20, checkpoint_every=200,
    ),
)  # fmt: skip
FINE = LocaliseStage(
    name="fine",
    trains_human=False,
    world=STRANGE_WORLD,
    people=_PEOPLE,
    num_clips=2048,
    losses=FineWeights(surface=20.0, order=0.2, landmarks=40.0, width=0.1, landmark_width=0.05),
    fit=FitConfig(
        steps=2000, learning_rate=3e-4, warmup_steps=30, weight_decay=0.02, clip_norm=5.0, ema_decay=0.97,
        log_every=20, checkpoint_every=100,
    ),
)  # fmt: skip


def _shrink(world: Domain) -> Domain:
    """The same world in pictures and clips for tests."""
    return replace(world, sizes=((48, 64),), clips_per_shard=8, clip=replace(world.clip, num_frames=3))


# Whole trainings ----------------------------------------------------------------------------------------------------

SMALL = Plan(
    config=small_config(),
    scene=DEPTH,
    mix=SCENE_MIX,
    distill=DISTILL,
    lifter=LIFTER,
    coarse=COARSE,
    fine=FINE,
)

# From the weights that ship: a lower rate, a short warm-up for an optimiser that knows nothing yet. Time ends it.
STANDING = replace(
    SMALL,
    scene=replace(
        DEPTH,
        fit=replace(
            DEPTH.fit, steps=10_000_000, learning_rate=0.4 * DEPTH.fit.learning_rate, warmup_steps=100,
            checkpoint_every=100, validate_every=500,
        ),
    ),
)  # fmt: skip

# 30 frames at 6 fps: every fifth of BEDLAM's 30 Hz (its reader's own step), videos sampled at 6 Hz.
_PAPER_PEOPLE = PeopleConfig(num_frames=30, num_people=1, num_observations=1, map_stride=2)
PAPER_COARSE = replace(
    COARSE, trains_human=True, people=_PAPER_PEOPLE, clips_per_step=1,
    losses=CoarseWeights(),
    fit=FitConfig(steps=50_000, learning_rate=1e-4, warmup_steps=1000, precision="bfloat16"),
)  # fmt: skip
PAPER_FINE = replace(
    FINE, people=_PAPER_PEOPLE, clips_per_step=1,
    fit=FitConfig(steps=10_000, learning_rate=3e-5, warmup_steps=500, precision="bfloat16"),
)  # fmt: skip
PAPER = PaperPlan(config=release_config(), coarse=PAPER_COARSE, fine=PAPER_FINE)

_FEW = FitConfig(steps=20, learning_rate=1e-3, warmup_steps=2, log_every=5, checkpoint_every=10)
_SMOKE_SHARDS = replace(_PEOPLE_SHARDS, sizes=((48, 64),), clip=replace(_PEOPLE_SHARDS.clip, num_frames=3, samples=1))
_SMOKE_PEOPLE = PeopleConfig(num_frames=3, num_observations=1)
_SMOKE_EXPERT = replace(
    CROP_EXPERT, world=_shrink(EXPERT_WORLD), num_clips=8, fit=_FEW, crops_per_step=2, pretrained_encoder=False,
    net=CropNetConfig(size=32, widths=(16, 12, 8, 8)),
)  # fmt: skip
_SMOKE_DISTILL = replace(
    DISTILL, expert=_SMOKE_EXPERT, world=_shrink(DISTILL_WORLD), num_clips=8, fit=_FEW, clips_per_step=2
)
SMOKE = Plan(
    config=tiny_config(),
    pretrained_encoder=False,
    scene=replace(
        DEPTH, fit=_FEW, data=SceneDataConfig(num_clips=2, num_frames=2, long_sides=(64,)), validation_batches=2
    ),
    mix=SceneMix(kinds=(_SMOKE_SHARDS,), num_shards=2, seed=1),
    distill=_SMOKE_DISTILL,
    lifter=LifterConfig(
        branch=LandmarkBranchConfig(dim=32, num_heads=2, stage_depths=(1, 1)),
        data=LandmarkDataConfig(batch_size=4, num_frames=4),
        fit=_FEW,
        pool_size=8,
        pool_seconds=3.0,
        validation_batches=1,
    ),
    coarse=replace(COARSE, world=_shrink(COARSE_WORLD), num_clips=16, fit=_FEW, people=_SMOKE_PEOPLE, clips_per_step=4),
    fine=replace(FINE, world=_shrink(STRANGE_WORLD), num_clips=16, fit=_FEW, people=_SMOKE_PEOPLE, clips_per_step=4),
)


# Recipes ------------------------------------------------------------------------------------------------------------


def pretrain_small(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> SmallScene:
    """The scene branch of ``small``: points, confidence and field of view on synthetic shards.

    Args:
        data: folder of shards; they are made when it has none (6400 clips, about 45 minutes of a core). ``live``
            renders such clips while training runs, and any name that ``open_source`` knows takes its data instead.
        minutes: wall-clock budget in place of the fixed number of steps.
    """
    return train_scene(SMALL, run_dir, data=data, resume=resume, minutes=minutes)


def train_small_lifter(
    run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None
) -> LandmarkBranch:
    """The human branch of ``small``: landmarks to SMPL.

    Args:
        data: folder of motion capture files (subfolders and tar archives included); procedural motion alone when there
            is no such folder.
    """
    config = replace(LIFTER, fit=replace(LIFTER.fit, minutes=minutes))
    paths = [data, *sorted(data.glob("*.tar.*"))] if data.is_dir() else []
    return train_lifter(run_dir, config, motion_paths=paths, resume=resume)


def train_expert(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> CropNet:
    """The expert that ``distill`` asks, in RUN_DIR/crop-expert, where a ``distill`` in the same folder finds it.

    Args:
        data: a dataset with depth and people, or a folder that close pictures of people are rendered into.
    """
    folder = run_dir / CROP_EXPERT.name
    return train_crop_expert(CROP_EXPERT, folder, data=data, resume=resume, minutes=minutes)


def train_distill(
    run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None, start: str = "small"
) -> UniSH:
    """The surface of people in a trained network, refined by an expert, which is trained first if it has to be.

    Args:
        data: for example ``videos:FOLDER``; or a folder that clips of a strange world are rendered into. Truth is not
            read. The expert's own renders lie in RUN_DIR/crop-expert-data.
        start: weights, as ``UniSH.from_pretrained`` takes them.
    """
    return distill_trained(DISTILL, UniSH.from_pretrained(start), run_dir, data=data, resume=resume, minutes=minutes)


def train_coarse(
    run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None, start: str = "small"
) -> UniSH:
    """AlignNet afresh, beside trained branches, on exact synthetic people.

    Args:
        data: a dataset with people and truth, or a folder that such clips are rendered into.
        start: weights of the branches, as ``UniSH.from_pretrained`` takes them.
    """
    network = _untrained_align(start)
    return localise_trained(COARSE, network, run_dir, data=data, resume=resume, minutes=minutes)


def train_fine(
    run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None, start: str | None = None
) -> UniSH:
    """AlignNet of a run of ``coarse`` in the same folder, or of given weights, on clips whose truth nobody reads.

    Args:
        data: for example ``videos:FOLDER``; or a folder that clips of a strange world are rendered into.
        start: weights as for ``train_coarse``; where there is no run of ``coarse``, their AlignNet goes on.
    """
    if start is not None and not (run_dir / COARSE.name).is_dir():
        network, after = UniSH.from_pretrained(start), None
    else:
        network, after = _untrained_align(start or "small"), COARSE
    return localise_trained(FINE, network, run_dir, data=data, resume=resume, minutes=minutes, after=after)


def train_small_all(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> UniSH:
    """Everything that makes the weights of ``small``, and their folder ``checkpoint``; see ``run_plan``."""
    return run_plan(SMALL, run_dir, data=data, resume=resume, minutes=minutes)


def train_smoke(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> UniSH:
    """All stages of ``small-all`` in miniature, in about two minutes: that they run, not that they teach."""
    return run_plan(SMOKE, run_dir, data=data, resume=resume, minutes=minutes)


def train_paper(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> UniSH:
    """The published sizes and data; see ``run_paper_plan`` for what the data folder holds."""
    return run_paper_plan(PAPER, run_dir, data=data, resume=resume, minutes=minutes)


def _untrained_align(start: str) -> UniSH:
    trained = UniSH.from_pretrained(start)
    return build_network(trained.config, trained)


RECIPES: dict[str, Recipe] = {
    "pretrain-small": pretrain_small,
    "small-lifter": train_small_lifter,
    "crop-expert": train_expert,
    "distill": train_distill,
    "coarse": train_coarse,
    "fine": train_fine,
    "small-all": train_small_all,
    "paper": train_paper,
    "smoke": train_smoke,
}
STARTED = frozenset({"distill", "coarse", "fine"})
"""Recipes that begin with a trained network, and take ``start``."""
