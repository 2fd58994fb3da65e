"""People of whom all landmarks are known, in a grey picture, and a landmark model that reads them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from unish.people.observe import Candidates, observe
from unish.people.protocols import Detection, Pose
from unish.people.reading import Frame, landmark_box
from unish.people.regions import Region

FRAME = Frame.of(torch.full((240, 320, 3), 128, dtype=torch.uint8))
TRUNK = [11, 12, 23, 24]


def make_body(x: float, y: float, tall: float, *, score: float = 0.95, mask: bool = False, width: float = 0.4) -> Pose:
    """An upright person around (x, y): a zigzag of landmarks, with shoulders and hips where they belong."""
    down = np.concatenate([np.full(11, -0.45), np.full(12, -0.1), np.linspace(0, 0.5, 10)])
    across = np.where(np.arange(33) % 2 == 0, -0.5, 0.5) * width
    px = np.stack([x + across * tall, y + down * tall, np.ones(33)], axis=1)
    px[TRUNK, 0] = x + np.array([0.12, -0.12, 0.08, -0.08]) * tall
    px[TRUNK, 1] = y + np.array([-0.3, -0.3, 0.02, 0.02]) * tall
    px[[0, 31, 32], 1] = y - 0.5 * tall, y + 0.5 * tall, y + 0.5 * tall
    region = Region(x=x, y=y, side=1.25 * tall)
    silhouette = None
    if mask:
        silhouette = np.zeros((128, 128), np.uint8)
        silhouette[13:115, 44:84] = 255
    return Pose(px=px.astype(np.float32), world=np.zeros((33, 3), np.float32), score=score, region=region,
                next_region=region, mask=silhouette)  # fmt: skip


def box_of(pose: Pose, grow: float = 0.0) -> np.ndarray:
    box = landmark_box(pose)
    assert box is not None
    return box.astype(float) + np.array([-grow, -grow, grow, grow])


def make_corners(x0: float, y0: float, x1: float, y1: float, visible: float = 1.0) -> np.ndarray:
    px = np.zeros((33, 3), np.float32)
    px[:4] = [[x0, y0, visible], [x1, y0, visible], [x0, y1, visible], [x1, y1, visible]]
    return px


class Bodies:
    """A landmark model in a world of known bodies: it reads the one that is nearest to the middle of the region."""

    def __init__(self, *bodies: Pose):
        self.bodies = bodies
        self.regions: list[Region] = []

    def read_pose(self, picture, region):
        self.regions.append(region)
        away = [math.hypot(one.region.x - region.x, one.region.y - region.y) for one in self.bodies]
        if not away or min(away) > region.side / 2:
            return replace(make_body(region.x, region.y, region.side / 1.25, score=0.0), region=region)
        return replace(self.bodies[int(np.argmin(away))], region=region)


def detect(box, score: float = 0.9, region: Region | None = None) -> Detection:
    return Detection(box_xyxy=np.array(box, float), score=score, region=region)


def observe_frame(detections=(), support=(), expected=(), landmarks=None, min_landmark_score: float = 0.5):
    return observe(
        FRAME, list(detections), list(support), list(expected), landmarks or Bodies(),
        min_detector_score=0.25, min_landmark_score=min_landmark_score,
    )  # fmt: skip


def make_candidates() -> Candidates:
    return Candidates(frame=FRAME, min_detector_score=0.25, min_landmark_score=0.5)
