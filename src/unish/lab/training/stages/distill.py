"""Refinement of the surface of people by an expert (distillation), after the first stage of UniSH.

Only the dense head trains. What an expert sees in a crop of a person is taught to it without moving the person and
without forgetting the scene; nobody reads any truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.lab.datasets import ClipSource
from unish.lab.training.experts.crop_training import CropExpertStage, load_crop_expert, train_crop_expert
from unish.lab.training.experts.files import FileExpert
from unish.lab.training.experts.moge import MogeExpert
from unish.lab.training.experts.protocol import DepthExpert
from unish.lab.training.interpolation import interpolate
from unish.lab.training.losses.distillation import DistillationConfig, detail_loss, forgetting_loss, place_loss
from unish.lab.training.losses.points import posture_loss
from unish.lab.training.stages.distill_clips import DistillBatch, DistillClips, cache_clips, place_maps
from unish.lab.training.stages.domains import Domain, open_clips
from unish.lab.training.trainer import FitConfig, fit
from unish.network.small_scene import SmallScene
from unish.slots import MOGE_WEIGHTS
from unish.structs.progress import Progress

_SAME_SURFACE = 0.05


@dataclass(frozen=True, kw_only=True)
class DistillWeights:
    """Weights of ``distill_loss``.

    Attributes:
        detail: shape of small neighbourhoods, each up to its own scale and shift (the published term).
        normals: angle to the expert's normals, which ties the slope of the relief; 0 for an expert with an offset.
        forgetting: whatever does not show people keeps its points (published).
        place: people stay where they are.
        confidence: the confidence keeps its values.
    """

    detail: float
    normals: float
    forgetting: float
    place: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class DistillStage:
    """A row of the recipe.

    Attributes:
        expert: a crop expert (that of the run beside this one, trained when there is none), ``moge``, ``moge:WEIGHTS``
            or ``files:FOLDER``.
        world, num_clips: what is rendered where no other data is given.
        num_frames: of a clip.
        share: of the way from the weights that the stage begins with to those that training ends with, where the result
            lies (``interpolate``).
    """

    name: str
    expert: CropExpertStage | str
    world: Domain
    num_clips: int
    losses: DistillWeights
    fit: FitConfig
    neighbourhoods: DistillationConfig = field(default_factory=DistillationConfig)
    num_frames: int = 3
    clips_per_step: int = 4
    share: float = 1.0


def train_distill_stage(
    stage: DistillStage,
    model: SmallScene,
    run_dir: Path,
    *,
    data: Path,
    expert_data: Path,
    resume: bool = False,
    minutes: float | None = None,
    progress: Progress | None = None,
) -> None:
    """The expert if it has to be trained, its answers, then the dense head of ``model``, in place.

    Args:
        run_dir: of this stage; the expert's run and the described clips lie beside it.
        data: person masks and pictures (``videos:FOLDER``, …), or a folder to render the stage's world into.
        expert_data: what the crop expert learns from, see ``train_crop_expert``.
        minutes: half of them for the expert where there is one to train.

    Raises:
        InputError: data without person masks, no such expert, or a run that is there already without ``resume``.
    """
    source, degrade = open_clips(stage.world, stage.num_clips, data, progress)
    if minutes is not None and isinstance(stage.expert, CropExpertStage):
        minutes /= 2
    expert = open_expert(stage.expert, run_dir.parent, data=expert_data, resume=resume, minutes=minutes)
    run_distill_stage(
        stage, model, source, expert, run_dir, degrade=degrade, resume=resume, minutes=minutes, progress=progress
    )


def open_expert(
    choice: CropExpertStage | str, runs: Path, *, data: Path, resume: bool, minutes: float | None
) -> DepthExpert:
    """An expert by its name; see ``DistillStage``.

    Raises:
        InputError: no such expert, or it lacks something.
    """
    if isinstance(choice, CropExpertStage):
        folder = runs / choice.name
        if data.exists() or not folder.exists():  # else it was trained on other data, and is taken as it is
            train_crop_expert(choice, folder, data=data, resume=resume or folder.exists(), minutes=minutes)
        return load_crop_expert(choice, folder)
    kind, _, place = choice.partition(":")
    if kind == "moge":
        return MogeExpert(place or MOGE_WEIGHTS)
    if kind == "files" and place:
        return FileExpert(Path(place))
    raise InputError(f"no expert is called {choice!r}; there are: moge, moge:WEIGHTS, files:FOLDER")


def run_distill_stage(
    stage: DistillStage,
    model: SmallScene,
    source: ClipSource,
    expert: DepthExpert,
    run_dir: Path,
    *,
    degrade: bool = False,
    seed: int = 0,
    resume: bool = False,
    minutes: float | None = None,
    described: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train the dense head of ``model`` in place on the clips of a source, as the expert sees them.

    Args:
        degrade: worsen the pictures before anybody sees them.
        described: folder of the described clips, beside the run by default. They belong to the weights that ``model``
            comes with.
    """
    described = described or run_dir.parent / "described" / stage.name
    cache_clips(
        source, described, model, expert, num_clips=stage.num_clips, num_frames=stage.num_frames, degrade=degrade,
        progress=progress,
    )  # fmt: skip
    clips = DistillClips(described)
    model.requires_grad_(False)
    model.dense_head.requires_grad_(True)
    began_with = {name: value.clone() for name, value in model.dense_head.state_dict().items()}

    def compute_loss(_: nn.Module, batch: DistillBatch) -> tuple[Tensor, dict[str, Tensor]]:
        # The trainer seeds PyTorch for every batch, so these draws survive a resume.
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        return distill_loss(model, batch, stage, generator)

    fit(
        model.dense_head,
        compute_loss,
        lambda step: clips.sample(seed, step, stage.clips_per_step),
        config=replace(stage.fit, seed=seed, minutes=minutes),
        run_dir=run_dir,
        resume=resume,
        progress=progress is not None,
    )
    model.dense_head.load_state_dict(interpolate(began_with, model.dense_head.state_dict(), stage.share))


def distill_loss(
    model: SmallScene, batch: DistillBatch, stage: DistillStage, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the terms of ``DistillWeights``, and the terms; those of weight 0 are left out."""
    weights = stage.losses
    points, logits = place_maps(model.predict_dense(batch.inputs), batch.inputs)
    people, frozen = batch.person_mask, batch.frozen_points
    known = people & (batch.expert_depth > 0)
    terms: dict[str, Tensor] = {}
    if weights.detail:
        terms["detail"] = detail_loss(
            points, batch.expert_depth, people, confidence=batch.frozen_logits.new_ones(people.shape),
            positions=frozen, generator=generator, config=stage.neighbourhoods,
        )  # fmt: skip
    if weights.normals:
        wanted = unproject(torch.where(known, batch.expert_depth, 1.0), batch.inputs.intrinsics)
        terms["normals"] = posture_loss(points, wanted, known, relative_step=_SAME_SURFACE)
    if weights.forgetting:
        terms["forgetting"] = forgetting_loss(points, frozen, ~people)
    if weights.place:
        terms["place"] = place_loss(points, frozen, people)
    if weights.confidence:
        terms["confidence"] = (logits.sigmoid() - batch.frozen_logits.sigmoid()).abs().mean()
    loss = sum((getattr(weights, name) * term for name, term in terms.items()), points.new_zeros(()))
    return loss, {name: term.detach() for name, term in terms.items()}
