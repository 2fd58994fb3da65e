"""One localisation stage from its row of the recipe: data, losses, steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from unish.body import Body, load_body
from unish.errors import InputError
from unish.lab.datasets import ClipSource
from unish.lab.training.stages.coarse import CoarseWeights, coarse_loss
from unish.lab.training.stages.domains import Domain, open_clips
from unish.lab.training.stages.fine import FineWeights, fine_loss
from unish.lab.training.stages.localiser import Localiser
from unish.lab.training.stages.people_cache import LivePeople, PeopleBatch, PeopleCache, PeopleClips, cache_people
from unish.lab.training.stages.people_clips import PeopleConfig
from unish.lab.training.trainer import FitConfig, Validate, fit
from unish.network import UniSH
from unish.network.geometry_tokens import NUM_GEOMETRY
from unish.structs.progress import Progress


@dataclass(frozen=True, kw_only=True)
class LocaliseStage:
    """A row of the recipe.

    Attributes:
        trains_human: the human branch trains with AlignNet; the scene branch is always frozen.
        world, num_clips: what is rendered where no other data is given.
        people: what is kept of a clip.
        losses: their kind says which stage it is: exact bodies (coarse), or clips without truth (fine).
        clips_per_step: of a batch.
        hide_tokens: share of the clips, drawn anew in each step, of whose scene tokens AlignNet sees the geometry alone
            (``network/geometry_tokens.py``): what a token has learnt of renders means less on photographs.
    """

    name: str
    trains_human: bool
    world: Domain
    num_clips: int
    losses: CoarseWeights | FineWeights
    fit: FitConfig
    people: PeopleConfig = field(default_factory=PeopleConfig)
    clips_per_step: int = 16
    hide_tokens: float = 0.0

    @property
    def needs_truth(self) -> bool:
        return isinstance(self.losses, CoarseWeights)


def train_localise_stage(
    stage: LocaliseStage,
    network: UniSH,
    run_dir: Path,
    *,
    data: Path,
    resume: bool = False,
    minutes: float | None = None,
    live: bool = False,
    progress: Progress | None = None,
) -> Localiser:
    """Train the parts of ``network`` that the stage trains, in place.

    Args:
        run_dir: of this stage; described clips are kept beside it.
        data: a name that ``open_source`` knows, a folder of shards, or a folder to render the stage's world into.
        live: describe clips anew in every step; for a human branch that reads crops, and tokens too many to keep.

    Raises:
        InputError: data that has not what the stage needs, or a run that is there already without ``resume``.
    """
    source, degrade = open_clips(stage.world, stage.num_clips, data, progress)
    _check_arrays(stage, source)
    body = load_body(network.config.body)
    network.eval()
    clips: PeopleClips
    if live:
        people = replace(stage.people, lift=not stage.trains_human)
        clips = LivePeople(source, network, body, people, degrade=degrade, hide_truth=not stage.needs_truth)
    else:
        described = run_dir.parent / "described" / stage.name
        cache_people(
            source, described, network, body, stage.people, seed=0, degrade=degrade, num_clips=stage.num_clips,
            progress=progress,
        )  # fmt: skip
        clips = PeopleCache(described, hide_truth=not stage.needs_truth)
    model = Localiser(network, trains_human=stage.trains_human)
    run_localise_stage(stage, model, clips, body, run_dir, resume=resume, minutes=minutes)
    return model


def _check_arrays(stage: LocaliseStage, source: ClipSource) -> None:
    """Exact bodies and depth; or, where truth is not read, detected landmarks in their place."""
    notes = source.describe()
    simulated = {"depth", "intrinsics", "c2w", "betas", "global_orient_aa", "body_pose_aa", "transl"}
    detected = {"landmarks_px", "landmarks_world"}
    rest = detected if not stage.needs_truth and detected <= set(notes.arrays) else simulated
    if missing := {"images", "ids", "timestamps", "person_valid", *rest} - set(notes.arrays):
        raise InputError(f"{notes.name} has no {', '.join(sorted(missing))}: it cannot train the stage {stage.name}")


def run_localise_stage(
    stage: LocaliseStage,
    model: Localiser,
    clips: PeopleClips,
    body: Body,
    run_dir: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    minutes: float | None = None,
    validate: Validate | None = None,
    progress: bool = True,
) -> None:
    """Train ``model`` in place, from the weights that it has.

    Raises:
        InputError: tokens are to be hidden of a network whose tokens do not tell their geometry.
    """
    if stage.hide_tokens and not model.knows_geometry:
        raise InputError(f"{stage.name} hides tokens, and these have nothing besides; use a network of plain_config")
    place_body = cache(body.to)  # on the device of the batches, once

    def compute_loss(_: nn.Module, batch: PeopleBatch) -> tuple[Tensor, dict[str, Tensor]]:
        if stage.hide_tokens:
            batch = hide_learnt_tokens(batch, stage.hide_tokens)
        if isinstance(stage.losses, CoarseWeights):
            return coarse_loss(model, batch, place_body(batch.shift.device), stage.losses)
        return fine_loss(model, batch, place_body(batch.shift.device), stage.losses)

    fit(
        model,
        compute_loss,
        lambda step: clips.sample(seed, step, stage.clips_per_step),
        config=replace(stage.fit, seed=seed, minutes=minutes),
        run_dir=run_dir,
        resume=resume,
        validate=validate,
        progress=progress,
    )


def hide_learnt_tokens(batch: PeopleBatch, share: float) -> PeopleBatch:
    """The same clips; in about ``share`` of them, scene tokens keep only what was appended of their geometry."""
    hidden = batch.scene.hidden.clone()
    chosen = torch.rand(len(hidden)) < share
    hidden[chosen, ..., :-NUM_GEOMETRY] = 0.0
    return replace(batch, scene=replace(batch.scene, hidden=hidden))
