"""The cast of a clip: bodies of many shapes, dressed, moving, standing on the floor, not through one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy import ndarray

from unish.body import Body, load_body
from unish.body.model import PosedSkeleton
from unish.body.population import AGE_BETA, STATURE_BETA
from unish.lab.synthetic.clothes import BodyMap, dress_body, map_body
from unish.lab.synthetic.motion import (
    Motion,
    MotionLibrary,
    ground_motion,
    load_library,
    sample_motion,
    turn_motion,
)
from unish.lab.synthetic.motion.contacts import ContactBody, sample_with_contacts
from unish.lab.synthetic.motion.points import pose_points
from unish.lab.synthetic.motion.soles import SupportBody
from unish.lab.synthetic.placement import Spot, arrange_people, find_heading, find_place, thin_body
from unish.lab.synthetic.seats import BALANCED, TUCKED, make_seat, needs_seat
from unish.lab.synthetic.stage import Prop
from unish.lab.synthetic.textures import TextureBank
from unish.lab.synthetic.wardrobe.dressing import dress_person
from unish.render.scene import Mesh
from unish.structs import BodyParams

Rng = np.random.Generator
CAPTURED = 0.5
"""Share of the people whose motion comes from files, where there are some."""
_TRIES = 4
RATE_HZ = 60.0
"""Motions are made and set on the floor at this rate, then sampled at the times of the clip."""
MARGIN_S = 0.6
"""What of a motion before and after the clip is looked at to see which steps are under way."""


@dataclass(frozen=True, kw_only=True)
class Player:
    """A bare body through the clip, in stage axes (y up, floor at 0).

    Attributes:
        params: SMPL-format parameters of the N frames; skeleton: the joints that they pose.
        vertices: (N, V, 3); joints: (N, 24, 3); landmarks: (N, 33, 3) metres.
        action: name of the motion.
        contacts: which contact regions of the body stand on the floor.
        seat: what the person sits on, if anything.
    """

    params: BodyParams
    skeleton: PosedSkeleton
    vertices: Float32[ndarray, "N V 3"]
    joints: Float32[ndarray, "N 24 3"]
    landmarks: Float32[ndarray, "N 33 3"]
    action: str
    contacts: Bool[ndarray, "N C"]
    seat: Prop | None


@dataclass(frozen=True, kw_only=True)
class Actor(Player):
    """One person as they are seen.

    Attributes:
        surface: (N, S, 3) vertices of ``looks`` in every frame.
        looks: the clothed mesh, or the painted body.
    """

    surface: Float32[ndarray, "N S 3"]
    looks: Mesh


@lru_cache(maxsize=2)
def load_cast_body(name: str) -> tuple[Body, BodyMap]:
    """A body and its map, once per process."""
    body = load_body(name)
    rest = rest_params(torch.zeros(1, 10))
    vertices, joints, landmarks = (
        part[0].numpy() for part in (body.vertices(rest), body.joints(rest), body.landmarks(rest))
    )
    return body, map_body(vertices, body.faces.numpy(), joints, landmarks)


@lru_cache(maxsize=2)
def load_support(name: str) -> tuple[SupportBody, ContactBody, Body]:
    """What of a body touches floors, its contact regions, and what tells if people touch; once per process."""
    body, _ = load_cast_body(name)
    return SupportBody.of(body), ContactBody.of(body), thin_body(body)


def rest_params(betas: Float[torch.Tensor, "N 10"]) -> BodyParams:
    """Bodies at rest at the origin."""
    num = len(betas)
    return BodyParams(
        betas=betas,
        global_orient=torch.eye(3).expand(num, 3, 3),
        body_pose=torch.eye(3).expand(num, 23, 3, 3),
        transl=torch.zeros(num, 3),
    )


def cast_people(
    rng: Rng,
    bank: TextureBank,
    body_name: str,
    count: int,
    timestamps_s: Float[ndarray, "N"],
    spread: float,
    *,
    clothes: bool = True,
    motion_files: str | None = None,
    betas: Float[torch.Tensor, "10"] | None = None,
) -> list[Actor]:
    """``count`` people (fewer when no free place is found) within about ``spread`` metres of the origin.

    Without ``clothes`` they are bare bodies with painted ones. All have the shape of ``betas`` where that is given.

    Raises:
        InputError: ``motion_files`` (a folder or archive of captured motion) cannot be read.
    """
    library = None if motion_files is None else load_library(motion_files)
    players: list[Player] = []
    taken: list[ndarray] = []
    times = torch.from_numpy(np.asarray(timestamps_s, np.float64))
    for spot in arrange_people(rng, count, spread):
        for _ in range(_TRIES):
            player = _sample_player(rng, bank, body_name, library, times, spot, taken, betas)
            if player is not None and _sits_well(player, players):
                players.append(player)
                taken.append(player.vertices[:, ::11] if player.seat is None else _add_seat(player))
                break
    return [_dress(rng, bank, body_name, player, number, clothes) for number, player in enumerate(players)]


def _sample_player(
    rng: Rng,
    bank: TextureBank,
    body_name: str,
    library: MotionLibrary | None,
    times: Float[torch.Tensor, "N"],
    spot: Spot,
    taken: list[ndarray],
    betas: Float[torch.Tensor, "10"] | None,
) -> Player | None:
    """A moving body at the spot, or nobody when others leave no room."""
    body, _ = load_cast_body(body_name)
    *_, thin = load_support(body_name)
    betas = _sample_shape(rng, body) if betas is None else betas
    motion, contacts = _sample_motion(rng, library, body_name, betas, times, spot)
    skeleton = body.skeleton(_make_params(body, betas, motion, np.zeros(2)))
    offset = find_place(rng, spot, pose_points(thin, betas, motion, skeleton).numpy(), taken)
    if offset is None:
        return None
    params = _make_params(body, betas, motion, offset)
    return _pose_player(rng, bank, body, params, skeleton, motion.name, contacts)


def _dress(rng: Rng, bank: TextureBank, body_name: str, player: Player, number: int, clothes: bool) -> Actor:
    """The player in clothes, or with painted ones."""
    body, body_map = load_cast_body(body_name)
    if not clothes:
        return Actor(**vars(player), surface=player.vertices, looks=dress_body(rng, body_map, bank, number))
    outfit = dress_person(rng, body, body_map, player.params.betas[0], bank, number)
    return Actor(
        **vars(player), surface=outfit.pose(body, player.params, player.vertices, player.skeleton), looks=outfit.looks
    )


def _sits_well(actor: Player, others: list[Player]) -> bool:
    """Does who would fall have a seat, and does the seat stand in nobody's way?"""
    if actor.seat is None:
        return not needs_seat(actor.joints).any()
    low, high = actor.seat.low - 0.02, actor.seat.high + 0.02
    return not any(((other.vertices > low) & (other.vertices < high)).all(axis=-1).any() for other in others)


def _add_seat(actor: Player) -> Float[ndarray, "N Q 3"]:
    """Points of the body and, every 10 cm, of the box around the seat."""
    assert actor.seat is not None
    low, high = actor.seat.low, actor.seat.high
    lines = [np.linspace(a, b, int((b - a) / 0.1) + 2) for a, b in zip(low, high, strict=True)]
    box = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 3).astype(np.float32)
    return np.concatenate([actor.vertices[:, ::11], np.tile(box, (len(actor.vertices), 1, 1))], axis=1)


def _sample_motion(
    rng: Rng,
    library: MotionLibrary | None,
    body_name: str,
    betas: Float[torch.Tensor, "10"],
    times: Float[torch.Tensor, "N"],
    spot: Spot,
) -> tuple[Motion, Bool[ndarray, "N C"]]:
    """A motion on the floor for this body, about the origin, heading as the spot wants; and its contacts."""
    support, contact, _ = load_support(body_name)
    around = torch.arange(float(times[0]) - MARGIN_S, float(times[-1]) + MARGIN_S, 1 / RATE_HZ, dtype=torch.float64)
    captured = library is not None and rng.random() < CAPTURED
    drawn = library.sample(rng, around) if captured and library is not None else sample_motion(rng, around)
    motion, contacts = sample_with_contacts(contact, betas, ground_motion(drawn, support, betas), times)
    motion = turn_motion(motion, spot.heading - find_heading(motion))
    middle = motion.root.mean(dim=0) * torch.tensor([1.0, 0.0, 1.0])
    return replace(motion, root=motion.root - middle), contacts


def _sample_shape(rng: Rng, body: Body) -> Float[torch.Tensor, "10"]:
    """Of many random shapes the one nearest to a height drawn for an adult (mostly) or a child."""
    adult = rng.random() < 0.85
    height = np.clip(rng.normal(1.70, 0.1), 1.4, 2.05) if adult else rng.uniform(0.9, 1.5)
    drawn = np.clip(rng.normal(0, 1.0, (48, 10)), -2.5, 2.5).astype(np.float32)
    # Adults have no part of the age component; children have most of their smallness from it.
    drawn[:, AGE_BETA] = 0 if adult else rng.uniform(-3.5, -0.5, 48)
    drawn[:, STATURE_BETA] *= 1.0 if adult else 0.5
    betas = torch.from_numpy(drawn)
    return betas[int((body.standing_height(betas) - float(height)).abs().argmin())]


def _make_params(
    body: Body, betas: Float[torch.Tensor, "10"], motion: Motion, offset: Float[ndarray, "2"]
) -> BodyParams:
    """Parameters along the motion, moved by ``offset`` (x, z)."""
    path = torch.from_numpy(motion.root.numpy() + np.insert(offset, 1, 0.0))
    return BodyParams(
        betas=betas.expand(motion.num_frames, 10),
        global_orient=motion.global_orient.float(),
        body_pose=motion.body_pose.float(),
        transl=(path - body.rest_joints(betas)[0].double()).float(),
    )


def _pose_player(
    rng: Rng,
    bank: TextureBank,
    body: Body,
    params: BodyParams,
    skeleton: PosedSkeleton,
    action: str,
    contacts: Bool[ndarray, "N C"],
) -> Player:
    """The posed body, with a seat if it needs one."""
    vertices, joints = body.vertices(params, skeleton).numpy(), body.joints(params, skeleton).numpy()
    facing = params.global_orient[:, :, 2].numpy()
    lead = TUCKED if "sit+" in action else BALANCED
    return Player(
        params=params,
        skeleton=skeleton,
        vertices=vertices,
        joints=joints,
        landmarks=body.landmarks(params, skeleton).numpy(),
        action=action,
        contacts=contacts,
        seat=make_seat(rng, bank, joints, vertices, facing, lead=lead),
    )
