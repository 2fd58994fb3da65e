"""Windows that were reconstructed alone, put into one world again: frames once, one number for each person."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unish import pipeline
from unish.body import load_body, move_body
from unish.geometry.rigid import exp_twist, invert_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.live.follow import Follower
from unish.live.windows import LiveWindow
from unish.passes import Models, Observations
from unish.settings import Settings
from unish.structs import BodyParams, Clip, Reconstruction
from walking_record import make_walk

PEOPLE = (
    "person_valid",
    "person_filled",
    "landmarks_px",
    "boxes_xyxy",
    "global_orient_aa",
    "body_pose_aa",
    "transl",
    "joints",
)
TIMES = (
    "segment",
    "timestamps_s",
    "frame_indices",
    "intrinsics",
    "c2w",
    "images",
    "depth",
    "point_conf",
    "person_masks",
)


def cut(whole: Reconstruction, frames: list[int], *, swap: bool, turn: float = 0.0) -> Reconstruction:
    """Some frames in a world of their own, people in another order."""
    order = [1, 0] if swap else [0, 1]
    world = exp_twist(turn * torch.tensor([0.3, -0.2, 0.5, 0.4, 0.1, -0.3])) @ invert_rigid(
        torch.from_numpy(whole.c2w[frames[0]])
    )
    body, betas = load_body("free"), torch.from_numpy(whole.betas)[:, None].expand(-1, whole.num_frames, -1)
    params = BodyParams(
        betas=betas, global_orient=axis_angle_to_matrix(torch.from_numpy(whole.global_orient_aa)),
        body_pose=torch.eye(3).expand(*betas.shape[:2], 23, 3, 3), transl=torch.from_numpy(whole.transl),
    )  # fmt: skip
    of_each = world.expand(*betas.shape[:2], 4, 4)
    moved = move_body(params, of_each, body.rest_joints(betas)[..., 0, :])
    changed = {
        "global_orient_aa": matrix_to_axis_angle(moved.global_orient).numpy(),
        "transl": moved.transl.numpy(),
        "joints": transform_points(of_each, torch.from_numpy(whole.joints)).numpy(),
        "c2w": (world @ torch.from_numpy(whole.c2w)).numpy(),
    }
    known = {name: changed.get(name, getattr(whole, name)) for name in (*PEOPLE, *TIMES)}
    return replace(
        whole,
        betas=whole.betas[order],
        dense_frames=np.arange(len(frames)),
        **{name: known[name][order][:, frames] for name in PEOPLE},
        **{name: known[name][frames] for name in TIMES},
    )


@pytest.fixture(scope="module")
def whole() -> Reconstruction:
    walk = make_walk(num_frames=14)
    betas = np.array([[0.5] + [0] * 9, [-0.5] + [0] * 9], np.float32)
    return replace(walk, betas=betas, segment=np.zeros(14, np.int32))


def follow(monkeypatch: pytest.MonkeyPatch, parts: list[Reconstruction]) -> list[dict[str, Any]]:
    """What is told of windows that a run would reconstruct as ``parts``."""
    coming = iter(parts)
    monkeypatch.setattr(
        pipeline, "run",
        lambda clip, **options: pipeline.Result(
            reconstruction=next(coming), body=load_body("free"), report={"warnings": []}, kept=Path(),
            observations=object.__new__(Observations), shape_space="free",
        ),
    )  # fmt: skip
    follower = Follower(Settings(start=3.0, max_frames=5), Models())
    clip = Clip(
        images=torch.zeros(1, 32, 32, 3, dtype=torch.uint8), timestamps_s=torch.zeros(1, dtype=torch.float64),
        frame_indices=torch.zeros(1, dtype=torch.int64), segment=torch.zeros(1, dtype=torch.int64),
        source_size=(32, 32),
    )  # fmt: skip
    return [follower.follow(LiveWindow(clip=clip, num_new=1, arrived_s=0.0)) for _ in parts]


def test_windows_become_one_world(whole: Reconstruction, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [list(range(0, 6)), list(range(4, 10)), list(range(8, 14))]
    told = follow(
        monkeypatch, [cut(whole, one, swap=k == 1, turn=float(k)) for k, one in enumerate(frames)]
    )  # fmt: skip
    assert [event["window"] for event in told] == [0, 1, 2] and not any(event["final"] for event in told)
    assert list(chain.from_iterable(event["frame_indices"] for event in told)) == whole.frame_indices.tolist()
    assert {shot for event in told for shot in event["shots"]} == {0}
    np.testing.assert_allclose(np.concatenate([event["c2w"] for event in told]), whole.c2w, atol=1e-5)
    for person in (0, 1):
        rows = [next(one for one in event["people"] if one["id"] == person) for event in told]
        for name in ("transl", "joints", "body_pose_aa"):
            found = np.concatenate([row[name] for row in rows])
            np.testing.assert_allclose(found, getattr(whole, name)[person], atol=1e-5, err_msg=name)
        turns = axis_angle_to_matrix(torch.tensor(np.concatenate([row["global_orient_aa"] for row in rows])))
        wanted = axis_angle_to_matrix(torch.from_numpy(whole.global_orient_aa[person]))
        torch.testing.assert_close(turns.float(), wanted, atol=1e-5, rtol=0)
        assert all(np.allclose(row["betas"], whole.betas[person]) for row in rows)


def test_a_gap_is_a_new_shot(whole: Reconstruction, monkeypatch: pytest.MonkeyPatch) -> None:
    told = follow(monkeypatch, [cut(whole, list(range(4)), swap=False), cut(whole, list(range(8, 12)), swap=False)])
    assert [event["shots"] for event in told] == [[0] * 4, [1] * 4]
    np.testing.assert_allclose(told[1]["c2w"][0], np.eye(4), atol=1e-6)
    assert [one["id"] for one in told[1]["people"]] == [2, 3], "nothing says who they are"


def test_a_cut_opens_a_world(whole: Reconstruction, monkeypatch: pytest.MonkeyPatch) -> None:
    second = cut(whole, list(range(4, 10)), swap=False, turn=1.0)
    segment = np.array([0, 0, 0, 1, 1, 1], np.int32)
    later = cut(whole, list(range(7, 10)), swap=False)
    second = replace(second, segment=segment, c2w=np.concatenate([second.c2w[:3], later.c2w]))
    third = cut(whole, list(range(8, 14)), swap=False, turn=-1.0)
    told = follow(monkeypatch, [cut(whole, list(range(6)), swap=False), second, third])
    assert [event["shots"] for event in told] == [[0] * 6, [0, 1, 1, 1], [1] * 4]
    np.testing.assert_allclose(told[1]["c2w"][0], whole.c2w[6], atol=1e-5)
    first = np.linalg.inv(whole.c2w[7])
    np.testing.assert_allclose(told[2]["c2w"][-1], first @ whole.c2w[13], atol=1e-5)


def test_somebody_new_and_somebody_unseen(whole: Reconstruction, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cut(whole, list(range(6)), swap=False)
    first.person_valid[1] = False
    second = cut(whole, list(range(4, 10)), swap=True)
    told = follow(monkeypatch, [first, second])
    assert [[one["id"] for one in event["people"]] for event in told] == [[0], [2, 0]]
