"""Somebody who walks, as a result has it: feet that stand, and that slide a little while they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial.transform import Rotation

from small_record import make_record
from squatting_record import NAMES
from unish.body import Body
from unish.body.skinning import chain_joints
from unish.export.feet import PLANTED
from unish.export.timeline import find_runs
from unish.lab.synthetic.motion import ground_motion, sample_motion
from unish.lab.synthetic.motion.contacts import ContactBody, sample_with_contacts
from unish.lab.synthetic.motion.soles import SupportBody
from unish.structs import Reconstruction

FPS = 10.0
SECONDS = 4.0


def make_stride(body: Body, *, sway_m: float = 0.0) -> Reconstruction:
    """A procedural walk of one person, with its true contacts; the whole person sways by ``sway_m`` at 0.7 Hz.

    In the world of the record y is down; its floor is 1.4 m below the first camera.
    """
    betas, times = torch.zeros(10), torch.arange(0.5, 0.5 + SECONDS, 1 / FPS, dtype=torch.float64)
    around = torch.arange(0.0, 1.0 + SECONDS, 1 / 60, dtype=torch.float64)
    drawn = ground_motion(sample_motion(np.random.default_rng(8), around, action="walk"), SupportBody.of(body), betas)
    motion, touching = sample_with_contacts(ContactBody.of(body), betas, drawn, times)
    count, rest = len(times), body.rest_joints(betas).double().numpy()
    flip = np.diag([1.0, -1.0, -1.0])
    rotations = motion.rotations.double().numpy()
    rotations[:, 0] = flip @ rotations[:, 0]
    pelvis = motion.root.double().numpy() @ flip.T + [0.0, 1.4, 5.0]
    sway = np.sin(2 * np.pi * 0.7 * times.numpy()[:, None]) * [sway_m, 0.0, 0.6 * sway_m]
    placed = chain_joints(torch.from_numpy(rest - rest[0]).expand(count, -1, -1), torch.from_numpy(rotations))[
        1
    ].numpy()
    pose = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(1, count, 72)
    record = make_record(body, num_people=1, num_frames=count)
    regions = list(body.contact_vertices)
    return replace(
        record,
        timestamps_s=times.numpy(),
        frame_indices=3 * np.arange(count),
        person_valid=np.ones((1, count), bool),
        boxes_xyxy=np.zeros((1, count, 4), np.float32),
        betas=np.zeros((1, 10), np.float32),
        global_orient_aa=pose[..., :3].astype(np.float32),
        body_pose_aa=pose[..., 3:].astype(np.float32),
        transl=(pelvis + sway - rest[0])[None].astype(np.float32),
        joints=(placed + (pelvis + sway)[:, None])[None].astype(np.float32),
        contact_prob=touching[None][..., [regions.index(name) for name in NAMES]].astype(np.float32),
        contact_names=np.array(NAMES),
    )


def list_stances(record: Reconstruction, person: int) -> list[tuple[int, int, int]]:
    """(which of ``NAMES``, first and last frame) of all stretches of frames in which a heel or toe stands."""
    assert record.contact_prob is not None
    stands: ndarray = record.contact_prob[person] >= PLANTED
    return [(part, *run) for part in range(len(NAMES)) for run in find_runs(stands[:, part]) if run[1] > run[0]]
