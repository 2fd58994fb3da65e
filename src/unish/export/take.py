"""A *take*: one shot of a reconstruction on one timeline and in the axes of another program.

Lengths are metres and times seconds here; a format that wants others multiplies when it writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES, Body
from unish.errors import InputError
from unish.export.axes import place_world
from unish.export.feet import PLANTED, find_soles, hold_feet, lock_feet, pose_joints
from unish.export.options import ExportOptions
from unish.export.timeline import Timeline, find_runs, make_timeline, measure_source_fps, measure_used_fps
from unish.structs import Reconstruction

_SEEN_CM = 0.05
"""Less is 0.0 where centimetres are written with one decimal."""

_LOW_SHARE = 5
"""Percentile of the heights of the lowest joint at which the floor is assumed where none was found."""


@dataclass(frozen=True, kw_only=True)
class TakePerson:
    """One person in the N frames of a take; SMPL's 24 joints in SMPL's order. Floats are NaN where not ``valid``.

    Attributes:
        person_id: identity over the whole video.
        betas: shape, in the space of the reconstruction's body.
        height_m: standing height of that shape.
        rest_joints: in the rest pose (T-pose, y up, facing +z, left at +x), metres.
        rotations: of each joint relative to its parent; the root's brings the rest frame to the world of the take.
        pelvis: place of the root joint. SMPL's ``transl`` is this minus ``rest_joints[0]``.
        joints: places of all joints.
        valid: a body is known: observed, filled on request, or between two such frames of the reconstruction.
        observed: the same without those that were filled.
        contact_prob, contact_names: probability that points of the body touch the ground; ``None`` where nobody looked.
        moved_m: the farthest that a joint was moved from where a frame of the reconstruction has it, by ``lock_feet``.
    """

    person_id: int
    betas: Float32[ndarray, "S"]
    height_m: float
    rest_joints: Float64[ndarray, "24 3"]
    rotations: Float64[ndarray, "N 24 3 3"]
    pelvis: Float64[ndarray, "N 3"]
    joints: Float64[ndarray, "N 24 3"]
    valid: Bool[ndarray, "N"]
    observed: Bool[ndarray, "N"]
    contact_prob: Float64[ndarray, "N C"] | None
    contact_names: tuple[str, ...]
    moved_m: float = 0.0

    def gaps(self) -> list[tuple[int, int]]:
        """First and last frame of every stretch in which no body is known."""
        return find_runs(~self.valid)

    def bridged(self) -> TakePerson:
        """The same with a pose in every frame, for formats that know no gaps: straight across a gap, still at the ends.

        What is put in was not seen; ``valid`` and ``gaps`` still tell where.
        """
        if self.valid.all():
            return self
        known = np.flatnonzero(self.valid)
        frames = np.arange(len(self.valid))
        place = np.interp(frames, known, np.arange(len(known)))
        before = np.minimum(place.astype(np.int64), len(known) - 1)
        line = Timeline(
            fps=np.nan, times_s=frames.astype(np.float64), key_times_s=known.astype(np.float64), before=before,
            share=place - before,
        )  # fmt: skip
        rotations, pelvis = line.turn(self.rotations[known]), line.blend(self.pelvis[known])
        _, joints = pose_joints(self.rest_joints, rotations, pelvis)
        return replace(self, rotations=rotations, pelvis=pelvis, joints=joints)


@dataclass(frozen=True, kw_only=True)
class Take:
    """N frames of one shot.

    Attributes:
        options: what was asked for.
        fps: frames per second; NaN where the frames are those of the reconstruction, with times of their own.
        times_s: since the first frame of the shot, which is at ``start_s`` of the video.
        frames: those of the reconstruction that belong to the shot.
        source_fps, used_fps: rate of the video, and of the frames in which people were read (NaN of a single one).
        placement: from the world of the reconstruction's shot to that of the take, a rigid motion.
        people: those who were asked for and are known in at least one frame.
        c2w: camera to world; the camera looks along its +z, y down (OpenCV).
        intrinsics: pixels of the source picture.
        source_size: height and width of the source picture.
        gravity, floor: unit vector down; plane n·x + d = 0 with n up. NaN when unknown.
        levelled: gravity is known and the world was turned by it.
        notes: sentences for the reader of the files about what had to be assumed.
    """

    options: ExportOptions
    fps: float
    times_s: Float64[ndarray, "N"]
    start_s: float
    frames: Int64[ndarray, "K"]
    source_fps: float
    used_fps: float
    placement: Float64[ndarray, "4 4"]
    people: tuple[TakePerson, ...]
    c2w: Float64[ndarray, "N 4 4"]
    intrinsics: Float64[ndarray, "N 3 3"]
    source_size: tuple[int, int]
    gravity: Float64[ndarray, "3"]
    floor: Float64[ndarray, "4"]
    levelled: bool
    notes: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        return len(self.times_s)

    @property
    def zooms(self) -> bool:
        """The lens is not the same in all frames."""
        return bool((self.intrinsics != self.intrinsics[0]).any())

    def place(self, points: Float[ndarray, "*batch 3"]) -> Float64[ndarray, "*batch 3"]:
        """Points of the reconstruction's world (of this shot) in the world of the take."""
        return points @ self.placement[:3, :3].T + self.placement[:3, 3]


def make_take(reconstruction: Reconstruction, body: Body, options: ExportOptions) -> Take:
    """Bring one shot to one timeline and one set of axes.

    Rotations are blended along the shortest turn and places along a smooth curve; feet that stand keep their place
    (``hold_feet``). Nothing is put where a person is not known. At times that are those of a frame of the
    reconstruction, the take has its very values.

    Raises:
        InputError: the shot or one of the people does not exist.
    """
    if options.shot >= reconstruction.num_shots:
        raise InputError(f"shot {options.shot}: there are {reconstruction.num_shots}, counted from 0")
    frames = reconstruction.shot_frames()[options.shot]
    timeline = make_timeline(reconstruction, frames, options.fps)
    people = [
        _retime_person(reconstruction, body, person, frames, timeline, lock=options.locks_feet)
        for person in _choose_people(reconstruction, options.people)
        if _is_shown(reconstruction, person, frames).any()
    ]
    placement, levelled, notes = _place(reconstruction, body, people, options)
    keys = reconstruction.c2w[frames].astype(np.float64)
    c2w = np.tile(np.eye(4), (len(timeline.times_s), 1, 1))
    c2w[:, :3, :3] = timeline.turn(keys[:, :3, :3])
    c2w[:, :3, 3] = timeline.follow(keys[:, :3, 3], np.ones(len(keys), bool))
    used_fps, source_fps = measure_used_fps(timeline.key_times_s), measure_source_fps(reconstruction, frames)
    turn = placement[:3, :3]
    return Take(
        options=options,
        fps=timeline.fps,
        times_s=timeline.times_s,
        start_s=float(reconstruction.timestamps_s[frames.start]),
        frames=np.arange(frames.start, frames.stop),
        source_fps=source_fps,
        used_fps=used_fps,
        placement=placement,
        people=tuple(_move(person, placement, options) for person in people),
        c2w=placement @ c2w,
        intrinsics=timeline.blend(_source_intrinsics(reconstruction, frames)),
        source_size=(int(reconstruction.source_size[0]), int(reconstruction.source_size[1])),
        gravity=turn @ reconstruction.gravity[options.shot].astype(np.float64),
        floor=_move_plane(reconstruction.floor[options.shot].astype(np.float64), placement),
        levelled=levelled,
        notes=(*notes, *_note_rate(timeline.fps, used_fps, source_fps), *_note_feet(reconstruction, people, options)),
    )


def _choose_people(reconstruction: Reconstruction, wanted: tuple[int, ...] | None) -> list[int]:
    ids = reconstruction.person_ids.tolist()
    if wanted is None:
        return list(range(len(ids)))
    unknown = [person for person in wanted if person not in ids]
    if unknown:
        there = f"there are {', '.join(map(str, ids))}" if ids else "the reconstruction has none"
        raise InputError(f"no person {unknown[0]}; {there}")
    return [ids.index(person) for person in dict.fromkeys(wanted)]


def _is_shown(reconstruction: Reconstruction, person: int, frames: slice) -> Bool[ndarray, "K"]:
    return (reconstruction.person_valid | reconstruction.person_filled)[person, frames]


def _retime_person(
    reconstruction: Reconstruction, body: Body, person: int, frames: slice, timeline: Timeline, *, lock: bool
) -> TakePerson:
    """One person on the timeline, still in the world of the reconstruction."""
    betas = torch.from_numpy(reconstruction.betas[person])
    rest = body.rest_joints(betas.to(body.template)).double().cpu().numpy()
    shown = _is_shown(reconstruction, person, frames)
    axis_angle = np.concatenate(
        [reconstruction.global_orient_aa[person, frames], reconstruction.body_pose_aa[person, frames]], axis=1
    )
    # Finite everywhere while blending; what comes of frames without a body is taken out below.
    key_pose = np.where(shown[:, None], axis_angle, 0.0).astype(np.float64)
    key_rotations = Rotation.from_rotvec(key_pose.reshape(-1, 3)).as_matrix().reshape(len(shown), -1, 3, 3)
    key_pelvis = np.where(shown[:, None], reconstruction.transl[person, frames], 0.0) + rest[0]
    valid, moved_m = timeline.between(shown), 0.0
    contact_prob, planted = _read_contacts(reconstruction, person, frames)
    soles = find_soles(body, betas.to(body.template)) if planted is not None else None
    standing = None if planted is None or soles is None else planted & shown[:, None, None]
    if lock and standing is not None and soles is not None:
        before = pose_joints(rest, key_rotations, key_pelvis)[1]
        key_rotations, key_pelvis = lock_feet(key_rotations, key_pelvis, standing, timeline.key_times_s, rest, soles)
        moves = np.linalg.norm(pose_joints(rest, key_rotations, key_pelvis)[1] - before, axis=-1)
        moved_m = float(moves[shown].max(initial=0.0))
    rotations, pelvis = timeline.turn(key_rotations), timeline.follow(key_pelvis, shown)
    if standing is not None and soles is not None:
        pelvis = np.where(valid[:, None], pelvis, 0.0)
        rotations, pelvis = hold_feet(rotations, pelvis, key_rotations, key_pelvis, standing, timeline, rest, soles)
    rotations, pelvis = rotations.copy(), pelvis.copy()
    rotations[~valid], pelvis[~valid] = np.nan, np.nan
    joints = np.full((len(valid), len(JOINT_NAMES), 3), np.nan)
    joints[valid] = pose_joints(rest, rotations[valid], pelvis[valid])[1]
    return TakePerson(
        person_id=int(reconstruction.person_ids[person]),
        betas=reconstruction.betas[person],
        height_m=float(body.standing_height(betas.to(body.template))),
        rest_joints=rest,
        rotations=rotations,
        pelvis=pelvis,
        joints=joints,
        valid=valid,
        observed=timeline.between(reconstruction.person_valid[person, frames]),
        contact_prob=None if contact_prob is None else timeline.blend(contact_prob),
        contact_names=_name_contacts(reconstruction),
        moved_m=moved_m,
    )


def _read_contacts(
    reconstruction: Reconstruction, person: int, frames: slice
) -> tuple[Float32[ndarray, "K C"] | None, Bool[ndarray, "K 2 2"] | None]:
    """Probabilities as they are in the file, and which heel and toe of the left and the right foot stands."""
    if reconstruction.contact_prob is None or reconstruction.contact_names is None:
        return None, None
    probability, names = reconstruction.contact_prob[person, frames], _name_contacts(reconstruction)
    wanted = [f"{side}_{part}" for side in ("left", "right") for part in ("heel", "toe")]
    if not set(wanted) <= set(names):
        return probability, None
    # What was not seen (NaN) is not known to stand.
    planted = probability[:, [names.index(name) for name in wanted]] >= PLANTED
    return probability, planted.reshape(-1, 2, 2)


def _name_contacts(reconstruction: Reconstruction) -> tuple[str, ...]:
    return () if reconstruction.contact_names is None else tuple(str(name) for name in reconstruction.contact_names)


def _place(
    reconstruction: Reconstruction, body: Body, people: list[TakePerson], options: ExportOptions
) -> tuple[Float64[ndarray, "4 4"], bool, list[str]]:
    """The turn to the axes asked for, whether gravity gave it, and what had to be assumed."""
    gravity = reconstruction.gravity[options.shot]
    known = bool(np.isfinite(gravity).all())
    if not options.gravity:
        return place_world(gravity, options.up, level=False), False, []
    notes = [] if known else ["Gravity is not known: the first camera was taken to be upright."]
    turn = place_world(gravity, "y", level=True)[:3, :3]
    floor = reconstruction.floor[options.shot].astype(np.float64)
    joints = np.concatenate([person.joints[person.valid] for person in people]) if people else np.zeros((0, 24, 3))
    if np.isfinite(floor).all():
        # Where the people are, or below the first camera, should the floor not be quite level.
        spot = joints[:, 0].mean(axis=0) if len(joints) else np.zeros(3)
        height = float((turn @ spot)[1] - (floor[:3] @ spot + floor[3]))
    elif len(joints):
        height = float(np.percentile((joints @ turn.T)[..., 1].min(axis=1), _LOW_SHARE)) - _sole_thickness(body)
        notes.append("No floor was found: height 0 is where the lowest feet are.")
    else:
        height = 0.0
        notes.append("No floor was found: height 0 is that of the first camera.")
    return place_world(gravity, options.up, level=True, floor_height=height), known, notes


def _sole_thickness(body: Body) -> float:
    """From the lowest joint to the sole in the rest pose of the mean shape, metres."""
    return float(body.joint_template[:, 1].min() - body.template[:, 1].min())


def _move(person: TakePerson, placement: Float64[ndarray, "4 4"], options: ExportOptions) -> TakePerson:
    turn, shift = placement[:3, :3], placement[:3, 3]
    rotations = person.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved, joints = person.pelvis @ turn.T + shift, person.joints @ turn.T + shift
    if options.in_place:
        travel = moved.copy()
        travel[:, {"y": 1, "z": 2, None: 1}[options.up]] = 0.0
        moved, joints = moved - travel, joints - travel[:, None]
    return replace(person, rotations=rotations, pelvis=moved, joints=joints)


def _move_plane(plane: Float64[ndarray, "4"], placement: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4"]:
    normal = placement[:3, :3] @ plane[:3]
    return np.append(normal, plane[3] - normal @ placement[:3, 3])


def _source_intrinsics(reconstruction: Reconstruction, frames: slice) -> Float64[ndarray, "K 3 3"]:
    height, width = reconstruction.source_size / reconstruction.image_size
    return np.diag([width, height, 1.0]) @ reconstruction.intrinsics[frames].astype(np.float64)


def _note_rate(fps: float, used_fps: float, source_fps: float) -> list[str]:
    if not fps > 1.1 * used_fps:
        return []
    told = f"{fps:.4g} frames a second were interpolated from {used_fps:.4g} in which people were read"
    more = min(fps, source_fps)
    if more > 1.1 * used_fps:
        return [f"{told}; run `unish reconstruct --fps {more:.4g}` to see more of the motion."]
    return [f"{told}, which are all that the video has."]


def _note_feet(reconstruction: Reconstruction, people: list[TakePerson], options: ExportOptions) -> list[str]:
    if reconstruction.contact_prob is None and people:
        return ["The reconstruction says nothing about contacts, so feet were not held in place between its frames."]
    if options.locks_feet and people:
        most = 100 * max(person.moved_m for person in people)
        if most < _SEEN_CM:
            return ["Nothing had to be locked: no foot stands long enough, or those that do keep their spots anyway."]
        return [f"Feet that stand were locked to one spot: joints are up to {most:.1f} cm off the reconstruction."]
    return []
