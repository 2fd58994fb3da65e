"""A record that is consistent in itself: people who walk over a floor before a moving camera."""

from __future__ import annotations

import numpy as np
import torch

from unish.body import load_body
from unish.lab.evaluation.methods import People, make_record
from unish.lab.evaluation.methods.baselines import render_floor_plane
from unish.structs import Clip, Reconstruction

SIZE = (56, 42)


def make_walk(*, num_frames: int = 6, num_people: int = 2, seed: int = 0) -> Reconstruction:
    """The camera goes sideways and turns; people go forwards and move their limbs; the picture is noise."""
    rng = np.random.default_rng(seed)
    clip = Clip(
        images=torch.from_numpy(rng.integers(0, 255, (num_frames, *SIZE, 3)).astype(np.uint8)),
        timestamps_s=torch.arange(num_frames, dtype=torch.float64) / 6,
        frame_indices=5 * torch.arange(num_frames),
        segment=torch.zeros(num_frames, dtype=torch.int64),
        source_size=SIZE,
        name="walk",
    )
    intrinsics = np.array([[50.0, 0, SIZE[1] / 2], [0, 50, SIZE[0] / 2], [0, 0, 1]])
    angle = np.linspace(0, 0.2, num_frames)
    c2w = np.tile(np.eye(4), (num_frames, 1, 1))
    c2w[:, 0, 0], c2w[:, 0, 2], c2w[:, 2, 0], c2w[:, 2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    c2w[:, 0, 3] = np.linspace(0, 0.5, num_frames)
    steps = np.linspace(0, 1, num_frames)
    starts = np.array([[2.0 * i - 1, 0.3, 4.0 + i] for i in range(num_people)]).reshape(-1, 3)
    people = People(
        valid=np.ones((num_people, num_frames), bool),
        betas=np.zeros((num_people, 10)),
        global_orient_aa=np.tile([np.pi, 0.0, 0.0], (num_people, num_frames, 1)),
        body_pose_aa=rng.normal(size=(num_people, num_frames, 69)) * 0.2,
        transl=starts[:, None] + steps[None, :, None] * np.array([0.3, 0.0, -0.8]),
    )
    depth = render_floor_plane(torch.from_numpy(intrinsics), SIZE).numpy() + rng.normal(size=(num_frames, *SIZE)) * 0.01
    return make_record(
        clip,
        load_body("free"),
        size=SIZE,
        c2w=c2w,
        intrinsics=np.tile(intrinsics, (num_frames, 1, 1)),
        model="truth",
        depth=depth,
        people=people,
    )
