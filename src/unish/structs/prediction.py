"""What goes into and comes out of the network. A prediction has no scale yet; see ``Reconstruction`` for metres."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

CONFIDENT = 0.1
"""Points below this confidence are left out of every average, as in the published network."""


@dataclass(frozen=True, kw_only=True)
class HumanInputs:
    """Evidence about people for the human branch, B clips × P people × N frames.

    A landmark branch reads ``landmarks_*``; a crop branch reads ``patches`` and ``bbox_info``. Whatever the branch in
    use does not read may be ``None``.

    Attributes:
        valid: (B, P, N) the person was observed.
        landmarks_px: (B, P, N, 33, 3) x, y in pixels of the network's images (H×W), visibility; NaN where none.
        landmarks_sigma_px: (B, P, N, 33) 1σ of x and y, pixels of the network's images; NaN where unknown, infinite
            where a landmark lies outside of the picture, where it can only have been guessed.
        landmarks_world: (B, P, N, 33, 3) metres around the hips in the person's viewing-ray camera; NaN where none.
        camera_rotations: (B, N, 3, 3) from each frame's camera to axes that do not turn, in which people move smoothly;
            the camera's own where ``None``.
        patches: (B, P, N, 3, 256, 256) RGB in [0, 1].
        bbox_info: (B, P, N, 3) box centre minus image centre and box side, pixels.
    """

    valid: Bool[Tensor, "B P N"]
    landmarks_px: Float[Tensor, "B P N 33 3"] | None = None
    landmarks_sigma_px: Float[Tensor, "B P N 33"] | None = None
    camera_rotations: Float[Tensor, "B N 3 3"] | None = None
    landmarks_world: Float[Tensor, "B P N 33 3"] | None = None
    patches: Float[Tensor, "B P N 3 256 256"] | None = None
    bbox_info: Float[Tensor, "B P N 3"] | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Raw network output for B clips of N frames: one consistent world per clip, its scale still unknown.

    Attributes:
        local_points: (B, N, H, W, 3) camera coordinates, arbitrary scale shared by all frames of a clip.
        point_conf_logits: (B, N, H, W) confidence before the sigmoid.
        c2w: (B, N, 4, 4) camera to world in the same arbitrary scale, world = camera of the first frame.
        scale: (B,) positive: the mean distance, in metres, of the points that the confidence mask keeps; ``None`` where
            the network needs people for it and there are none.
        rotations: (B, P, N, 24, 3, 3) SMPL joint rotations, root first, in the camera; ``None`` without people.
        betas: (B, P, 10) one shape per person; ``None`` without people.
        transl: (B, P, N, 3) SMPL translation in the camera, metres, as AlignNet gives it; ``None`` without people.
        intrinsics: (B, N, 3, 3) pixels, the camera that the network assumed: given, predicted, or solved.
        joined: (B, N) frames whose camera follows from what they share with others; the rest stands where a neighbour
            stands. ``None`` where the network does not say.
        certain: (B, N) of these, frames whose camera is beyond doubt. ``None`` where the network does not say.
        solves_focal: (B,) ``intrinsics`` follow from how the camera turned. ``None`` where the network does not say.
        log_zoom: (B, N) log of the focal length of each frame over that of the first, 0 where the lens does not zoom.
            ``None`` where the network does not say.
        in_given_unit: (B,) the points are in the unit of the cameras that were given. ``None`` where none were.
        given_error_px: (B,) median distance of matches from where given cameras allow them (Sampson error), pixels of a
            picture whose long side has 640. ``None`` where none were given.
    """

    local_points: Float[Tensor, "B N H W 3"]
    point_conf_logits: Float[Tensor, "B N H W"]
    c2w: Float[Tensor, "B N 4 4"]
    scale: Float[Tensor, "B"] | None = None
    rotations: Float[Tensor, "B P N 24 3 3"] | None = None
    betas: Float[Tensor, "B P 10"] | None = None
    transl: Float[Tensor, "B P N 3"] | None = None
    intrinsics: Float[Tensor, "B N 3 3"] | None = None
    joined: Bool[Tensor, "B N"] | None = None
    certain: Bool[Tensor, "B N"] | None = None
    solves_focal: Bool[Tensor, "B"] | None = None
    log_zoom: Float[Tensor, "B N"] | None = None
    in_given_unit: Bool[Tensor, "B"] | None = None
    given_error_px: Float[Tensor, "B"] | None = None
