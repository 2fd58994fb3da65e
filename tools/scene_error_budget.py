"""Where the errors of scene and cameras are: what remains when a part of the answer is true.

    python tools/scene_error_budget.py path/to/labelled --parts 7scenes tum --every 3

Of each part (a benchmark of ``unish evaluate``, pictures without people), means over clips, camera unknown: as found,
and with the true focal length, true cameras (with it), true depths of anchors, true scale of the depth prior in every
frame, and all of these. Depth AbsRel after one median scale a clip and as it is (metric), turns and directions in
degrees, length of the moves over the true one, error of the focal length.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.camera import make_intrinsics
from unish.geometry.rigid import invert_rigid
from unish.lab.evaluation.benchmarks.labelled.places import PlaceBenchmark
from unish.lab.evaluation.benchmarks.rgbd import SEVEN_SCENES, SEVEN_SCENES_FAR, SLAMBOOK2
from unish.lab.evaluation.benchmarks.views import TrueViews, score_moves
from unish.lab.evaluation.compare import resize_depth
from unish.lab.evaluation.metrics import score_depth
from unish.network import UniSH
from unish.network.closed_form_placement import masked_mean_distance
from unish.network.outputs import SceneOutput
from unish.network.view_scene import apply_views, read_log_depth
from unish.network.view_solver import SolvedViews, solve_views
from unish.video import resize_images

PARTS = {
    "7scenes": (SEVEN_SCENES, "7scenes_redkitchen"),
    "7scenes_far": (SEVEN_SCENES_FAR, "7scenes_redkitchen"),
    "tum": (PlaceBenchmark(), "places/tum_fr1_xyz10"),
    "tsdf_box": (PlaceBenchmark(), "places/tsdf_box"),
    "slambook2": (SLAMBOOK2, "slambook2_rgbd"),
    "nyu_cafe": (PlaceBenchmark(), "places/nyu_cafe"),
}
COLUMNS = ("AbsRel", "metric AbsRel", "turn", "direction", "length", "focal %")

_CERTAIN = 1e6  # information of an anchor whose depth is true


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """What of the answer is true."""

    focal: bool = False
    cameras: bool = False
    anchors: bool = False
    scale: bool = False


ORACLES = {
    "as found": Oracle(),
    "true focal length": Oracle(focal=True),
    "true cameras": Oracle(focal=True, cameras=True),
    "true anchors": Oracle(anchors=True),
    "true prior scale": Oracle(scale=True),
    "all": Oracle(focal=True, cameras=True, anchors=True, scale=True),
}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip at the network's size (batch of one), and what is true of it.

    Attributes:
        depth: metres, 0 = unknown.
        c2w: world = first camera.
        scene: what the scene branch says with the true camera, and without; cameras not solved yet.
    """

    images: Float[Tensor, "1 N 3 H W"]
    depth: Float[Tensor, "1 N H W"]
    c2w: Float[Tensor, "1 N 4 4"]
    intrinsics: Float[Tensor, "1 N 3 3"]
    scene: dict[bool, SceneOutput]


@torch.inference_mode()
def read_clip(model: UniSH, views: TrueViews, long_side: int) -> Clip:
    """Pictures and truth of a clip in the size in which the network sees it."""
    assert views.depth is not None and views.c2w is not None and views.camera is not None
    height, width = views.pictures.shape[1:3]
    size = tuple(max(32, 32 * round(side * long_side / max(height, width) / 32)) for side in (height, width))
    images = resize_images(torch.from_numpy(views.pictures), (size[0], size[1])).permute(0, 3, 1, 2)[None].float() / 255
    fx, fy, cx, cy = (
        value * size[axis] / side
        for value, axis, side in zip(views.camera, (1, 0, 1, 0), (width, height, width, height), strict=True)
    )
    lens = make_intrinsics(torch.tensor(fx), *size)
    lens[1, 1], lens[0, 2], lens[1, 2] = fy, cx, cy
    intrinsics = lens.expand(1, len(views.pictures), 3, 3)
    c2w = (invert_rigid(views.c2w[:1]) @ views.c2w).float()[None]
    depth = resize_depth(views.depth.float().numpy(), (size[0], size[1])).float()[None]
    picture_size = (height, width)
    return Clip(
        images=images,
        depth=depth,
        c2w=c2w,
        intrinsics=intrinsics,
        scene={
            known: model.scene(images, intrinsics if known else None, picture_size=picture_size)
            for known in (False, True)
        },
    )


def true_scale(scene: SceneOutput, depth: Float[Tensor, "1 N H W"]) -> SceneOutput:
    """The scene with every frame's depth at its true median, metres; a frame without truth takes the clip's."""
    log_ratio = torch.where(depth > 0, depth, torch.nan).log() - read_log_depth(scene)
    level = log_ratio.flatten(2).nanmedian(2).values
    level = torch.where(level.isnan(), level.nanmedian(), level)
    return replace(scene, local_points=scene.local_points * level.exp()[..., None, None, None])


def true_anchors(views: SolvedViews, depth: Float[Tensor, "1 N H W"]) -> SolvedViews:
    """Anchors with their true depths, in the unit of the cameras; those without truth have no say."""
    place = views.anchors_px[0].floor().long()
    columns, rows = place[..., 0].clamp(0, depth.shape[-1] - 1), place[..., 1].clamp(0, depth.shape[-2] - 1)
    true = depth[0, torch.arange(len(place))[:, None], rows, columns][None]
    log_true = torch.where(true > 0, true, torch.nan).log()
    level = (views.bundle.log_depth - log_true)[views.bundle.information > 0].nanmedian().nan_to_num(0.0)
    known = ~log_true.isnan()
    bundle = replace(
        views.bundle,
        log_depth=torch.where(known, log_true + level, views.bundle.log_depth),
        information=torch.where(known, _CERTAIN, 0.0),
    )
    return replace(views, bundle=bundle)


@torch.inference_mode()
def solve_clip(model: UniSH, clip: Clip, oracle: Oracle) -> tuple[SceneOutput, float]:
    """The scene that the network makes of a clip with what the oracle tells, and metres in one of its units."""
    scene = clip.scene[oracle.focal]
    scene = true_scale(scene, clip.depth) if oracle.scale else scene
    everywhere = torch.ones_like(clip.depth, dtype=torch.bool)
    config, refiner = model.config.views, model.depth_refiner
    views = solve_views(
        clip.images, read_log_depth(scene), scene.intrinsics.float(), known_camera=oracle.focal,
        w2c=invert_rigid(clip.c2w) if oracle.cameras else None, config=config,
    )  # fmt: skip
    views = true_anchors(views, clip.depth) if oracle.anchors else views
    nobody = torch.full_like(everywhere, -1, dtype=torch.int64)
    found = apply_views(scene, clip.images, views, people=nobody, usable=everywhere, refiner=refiner)
    if oracle.cameras:
        found = replace(found, c2w=clip.c2w)
    if oracle.scale or (oracle.cameras and bool(views.moves)):
        return found, 1.0
    scale = model.align.scale_without_people(found, torch.arange(clip.images.shape[1])[None].float())
    return found, 1.0 if scale is None else float(scale / masked_mean_distance(found))


def score_clip(clip: Clip, found: SceneOutput, metres: float) -> list[float]:
    """The columns, of one clip."""
    depth, true = found.local_points[0, ..., 2] * metres, clip.depth[0]
    c2w = found.c2w[0].clone()
    c2w[:, :3, 3] *= metres
    moves = score_moves(c2w, clip.c2w[0], smallest_move=0.05 * float(true[true > 0].median()))
    focal = float(found.intrinsics[0, 0, 0, 0] / clip.intrinsics[0, 0, 0, 0])
    return [
        float(score_depth(depth, true, alignment="median").abs_rel),
        float(score_depth(depth, true, alignment="none").abs_rel),
        float(moves["camera_turn_error_deg"] or 0.0),
        float(moves.get("direction_error_deg") or math.nan),
        float(moves.get("move_length_ratio") or math.nan),
        100 * abs(focal - 1),
    ]


def measure(model: UniSH, clips: list[Clip]) -> dict[str, list[float]]:
    """Means of the columns over the clips that have them, by oracle."""
    return {
        name: np.nanmean([score_clip(clip, *solve_clip(model, clip, oracle)) for clip in clips], axis=0).tolist()
        for name, oracle in ORACLES.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled samples")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=["7scenes", "tum"])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th clip of a part")
    parser.add_argument("--size", type=int, default=512, help="long side, pixels")
    parser.add_argument("--model", default="small", help="weights that solve cameras from views")
    arguments = parser.parse_args()
    network = UniSH.from_pretrained(arguments.model)
    for part in arguments.parts:
        benchmark, folder = PARTS[part]
        data = arguments.data / folder
        names = [name for name in benchmark.sequences(data) if not name.startswith("pair")][:: arguments.every]
        table = measure(
            network, [read_clip(network, benchmark.read_views(data, name), arguments.size) for name in names]
        )
        print(f"\n{part}, {len(names)} clips\n\n| | {' | '.join(COLUMNS)} |\n{'|---' * (len(COLUMNS) + 1)}|")
        for row, values in table.items():
            print(f"| {row} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)
