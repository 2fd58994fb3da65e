"""Where the millimetres of a posed body are: what perfect landmarks would give, and what the body model itself allows.

    python tools/error_budget.py path/to/pose2sim_single --steps 0 1 3 10

Of each view of Pose2Sim's demo, PA-MPJPE and MPJPE (mm) of the person with the landmarks that were detected, and with
true ones in their place: in the picture (2-D), around the hips (3-D, in the person's viewing ray), both. *Floor* is the
body fitted to the true joints themselves, with the mean shape and with its own. The solver reads the picture alone, so
that true 3-D reaches the result through the network only. The truth is triangulated, good to some
27 mm, and serves evaluation only.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import JOINT_LANDMARKS, Body, load_body
from unish.geometry.camera import project
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation.benchmarks.landmark_truth import HIP_LANDMARKS
from unish.lab.evaluation.benchmarks.pose2sim import FPS, TRUTH
from unish.lab.evaluation.metrics import joint_error, joint_error_procrustes
from unish.network import UniSH
from unish.network.human.landmark_branch import LandmarkBranch
from unish.network.human.viewing_ray import turn_to
from unish.passes import Models
from unish.reconstruction import intrinsics_at, know_camera
from unish.settings import Settings
from unish.structs import BodyParams, HumanInputs
from unish.video import read_inside_bars

JOINTS, LANDMARKS = list(JOINT_LANDMARKS.values()), list(JOINT_LANDMARKS)
ORACLES = {"detected": (False, False), "true 2-D": (True, False), "true 3-D": (False, True), "both true": (True, True)}
"""Whether the landmarks in the picture, and those around the hips, are true ones."""

_FLOOR_STEPS, _SHAPE_PRIOR_M = 300, 0.003


@dataclass(frozen=True, kw_only=True)
class SeenPerson:
    """One person over the N frames of one view.

    Attributes:
        humans: landmarks as they were detected, pixels of the picture.
        true: landmarks in the camera, metres.
    """

    humans: HumanInputs
    times: Float[Tensor, "1 N"]
    intrinsics: Float[Tensor, "1 N 3 3"]
    true: Float[Tensor, "N 33 3"]

    def with_truth(self, *, in_picture: bool, in_space: bool) -> HumanInputs:
        """The landmarks, those that are asked for replaced by true ones; visibility stays the detected one."""
        assert self.humans.landmarks_px is not None and self.humans.landmarks_world is not None
        px, world = self.humans.landmarks_px[0, 0], self.humans.landmarks_world[0, 0]
        if in_picture:
            px = torch.cat([project(self.true, self.intrinsics[0]), px[..., 2:]], dim=-1)
        if in_space:
            hips = self.true[:, HIP_LANDMARKS].mean(1)
            world = (self.true - hips[:, None]) @ turn_to(torch.nn.functional.normalize(hips, dim=-1))
        return replace(self.humans, landmarks_px=px[None, None], landmarks_world=world[None, None])


def read_views(folder: Path) -> list[SeenPerson]:
    """What the people stage sees of the person whose landmarks are known, in every view."""
    videos = sorted((folder / "videos").glob("*.mp4"))
    finder = Models().people_finder(Settings(fps=FPS))
    views = []
    with np.load(folder / TRUTH) as truth:
        for camera, video in enumerate(videos):
            _, clip = read_inside_bars(video, fps=FPS)
            k = truth["intrinsics"][camera]
            given = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
            frames = clip.frame_indices.numpy() < len(truth["landmarks_world"])
            world = truth["landmarks_world"][clip.frame_indices.numpy()[frames]]
            true = torch.from_numpy(world @ truth["w2c_R"][camera].T + truth["w2c_t"][camera]).float()
            intrinsics = intrinsics_at(know_camera(given, clip), clip.size).expand(1, len(true), 3, 3)
            tracks, landmarks = finder(clip, (160, 160))
            seen = project(true, intrinsics[0])[:, HIP_LANDMARKS].mean(1)
            off = (landmarks.px[:, frames][..., HIP_LANDMARKS, :2].mean(2) - seen).norm(dim=-1)
            person = int(off.nan_to_num(1e6).median(dim=1).values.argmin())
            views.append(
                SeenPerson(
                    humans=HumanInputs(
                        valid=tracks.valid[None, [person]][..., frames],
                        landmarks_px=landmarks.px[None, [person]][:, :, frames],
                        landmarks_world=landmarks.world[None, [person]][:, :, frames],
                    ),
                    times=clip.timestamps_s[frames][None].float(),
                    intrinsics=intrinsics,
                    true=true,
                )
            )
    return views


@torch.inference_mode()
def read_body(model: UniSH, view: SeenPerson, humans: HumanInputs, body: Body) -> Float[Tensor, "N 24 3"]:
    """Joints of the person around the origin of the body, in camera axes."""
    rotations, betas = model.read_people(humans, view.times, view.intrinsics)
    return _joints(body, rotations[0, 0], betas[0, 0])


def fit_body(body: Body, true: Float[Tensor, "N 12 3"], *, own_shape: bool) -> Float[Tensor, "N 12 3"]:
    """The body's joints where they fit the true ones of ``JOINT_LANDMARKS`` best, turns and positions free.

    Args:
        own_shape: betas are fitted, too, one unit of a beta for some millimetres; else they are 0.
    """
    turns = torch.zeros(len(true), 24, 3, requires_grad=True)
    place, betas = true.mean(1).clone().requires_grad_(), torch.zeros(10, requires_grad=True)
    root = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    solver = torch.optim.LBFGS(
        [turns, place, betas] if own_shape else [turns, place], max_iter=_FLOOR_STEPS, line_search_fn="strong_wolfe"
    )

    def pose() -> Tensor:
        rotations = axis_angle_to_matrix(turns)
        rotations = torch.cat([root @ rotations[:, :1], rotations[:, 1:]], dim=1)
        return _joints(body, rotations, betas)[:, JOINTS] + place[:, None]

    def error() -> Tensor:
        solver.zero_grad()
        # A tiny prior keeps joints that no landmark shows from turning without need.
        value = (pose() - true).square().sum() + _SHAPE_PRIOR_M**2 * (betas.square().sum() + turns.square().sum())
        value.backward()
        return value

    solver.step(error)
    return pose().detach()


def score(joints: Float[Tensor, "N 12 3"], true: Float[Tensor, "N 12 3"]) -> tuple[float, float]:
    """PA-MPJPE and MPJPE, mm."""
    hips = [LANDMARKS.index(hip) for hip in HIP_LANDMARKS]
    joints, true = joints.double(), true.double()
    roots = joints[:, hips].mean(1), true[:, hips].mean(1)
    return float(joint_error_procrustes(joints, true).mean()), float(joint_error(joints, true, *roots).mean())


def _joints(body: Body, rotations: Float[Tensor, "N 24 3 3"], betas: Float[Tensor, "10"]) -> Float[Tensor, "N 24 3"]:
    return body.joints(
        BodyParams(
            betas=betas.expand(len(rotations), -1), global_orient=rotations[:, 0], body_pose=rotations[:, 1:],
            transl=rotations.new_zeros(len(rotations), 3),
        )
    )  # fmt: skip


def measure(model: UniSH, views: list[SeenPerson], steps: list[int]) -> list[list[str]]:
    """Rows of the table: name, and PA-MPJPE (MPJPE) with each number of steps, means over views."""
    assert isinstance(model.human, LandmarkBranch)
    body, rows = load_body(model.config.body), []
    for name, (in_picture, in_space) in ORACLES.items():
        row = [name]
        for count in steps:
            model.human.config = replace(model.human.config, solver_steps=count)
            scores = [
                score(
                    read_body(model, view, view.with_truth(in_picture=in_picture, in_space=in_space), body)[:, JOINTS],
                    view.true[:, LANDMARKS],
                )
                for view in views
            ]
            row.append("{:.1f} ({:.1f})".format(*np.mean(scores, axis=0)))
        rows.append(row)
    for own_shape in (False, True):
        true = views[0].true[:, LANDMARKS]
        fitted = score(fit_body(body, true, own_shape=own_shape), true)
        rows.append([f"floor, {'own' if own_shape else 'mean'} shape", "{:.1f} ({:.1f})".format(*fitted)])
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with videos/ and the triangulated truth")
    parser.add_argument("--model", default="small", help="weights with a landmark branch")
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 1, 3, 10], help="numbers of solver steps")
    arguments = parser.parse_args()
    table = measure(UniSH.from_pretrained(arguments.model), read_views(arguments.data), arguments.steps)
    print("| PA-MPJPE (MPJPE), mm |", " | ".join(f"{count} steps" for count in arguments.steps), "|")
    print("|---" * (len(arguments.steps) + 1) + "|")
    for row in table:
        print("|", " | ".join(row + [""] * (len(arguments.steps) + 1 - len(row))), "|")
