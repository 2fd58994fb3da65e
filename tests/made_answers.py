"""Results that tests make up: whole reconstructions from the few arrays that matter, and a method that returns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from unish.body import Body, load_body
from unish.lab.evaluation import Answer, Request
from unish.structs import Reconstruction


@dataclass
class Oracle:
    """A method that answers with what it is given to answer, and remembers what it was asked."""

    answer: Callable[[Request], Reconstruction]
    body: Body = field(default_factory=load_body)
    requests: list[Request] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return "oracle"

    def predict(self, request: Request) -> Answer:
        self.requests.append(request)
        return Answer(reconstruction=self.answer(request), report={}, body=self.body)


def make_scene(
    depth: np.ndarray, *, c2w: np.ndarray | None = None, intrinsics: np.ndarray | None = None
) -> Reconstruction:
    """Depth (T, H, W) and cameras without people; frames 0, 1, 2 … ten times a second."""
    count, height, width = depth.shape
    k = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]]) if intrinsics is None else intrinsics
    size = np.array([height, width], np.int32)
    return Reconstruction(
        segment=np.zeros(count, np.int32),
        timestamps_s=np.arange(count) / 10,
        frame_indices=np.arange(count),
        source_size=size,
        image_size=size,
        images=np.zeros((count, height, width, 3), np.uint8),
        intrinsics=np.broadcast_to(k, (count, 3, 3)).astype(np.float32),
        c2w=(np.tile(np.eye(4), (count, 1, 1)) if c2w is None else c2w).astype(np.float32),
        depth=depth.astype(np.float32),
        point_conf=np.ones((count, height, width), np.float16),
        person_masks=np.full((count, height, width), -1, np.int16),
        person_ids=np.zeros(0, np.int32),
        person_valid=np.zeros((0, count), bool),
        person_filled=np.zeros((0, count), bool),
        boxes_xyxy=np.zeros((0, count, 4), np.float32),
        landmarks_px=np.zeros((0, count, 33, 3), np.float32),
        betas=np.zeros((0, 10), np.float32),
        global_orient_aa=np.zeros((0, count, 3), np.float32),
        body_pose_aa=np.zeros((0, count, 69), np.float32),
        transl=np.zeros((0, count, 3), np.float32),
        joints=np.zeros((0, count, 24, 3), np.float32),
        gravity=np.array([[0, 1, 0]], np.float32),
        floor=np.full((1, 4), np.nan, np.float32),
        faces=np.zeros((0, 3), np.int32),
        body_model="free",
        model="oracle",
        version="0",
    )
