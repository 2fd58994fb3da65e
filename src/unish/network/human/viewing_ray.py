"""A camera of its own for each person: optical axis through the pelvis, one unit of focal length, scale of metres.

A pose looks the same from a camera that is only turned, so a network that works in this view and has its root rotation
turned back afterwards treats all places in the picture and all focal lengths alike.

Legend: S people of all clips, N frames, L = 33 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body.joints import MIRRORED_LANDMARKS
from unish.geometry.ruler import solve_translation

LEFT_HIP, RIGHT_HIP = 23, 24
_MIN_VISIBILITY = 0.05
_PIXELS_PER_UNIT = 1000.0  # tolerances of the position solve are in pixels, the view's image plane is in focal lengths
_MIN_WEIGHT = 0.02
_SCALE_LIMITS = (1e-3, 2.0)


@dataclass(frozen=True, kw_only=True)
class PersonView:
    """Landmarks in the camera turned to the person. Frames without landmarks hold zeros.

    Attributes:
        observed: (S, N) there are landmarks.
        points: (S, N, L, 3) metres around the hips, as the landmark model gave them.
        image_points: (S, N, L, 2) image coordinates in the turned camera in focal lengths, middle of the hips at 0.
        visibility: (S, N, L) 0..1.
        inverse_depth: (S, N) 1/m: how much of the image plane one metre of the person covers.
        to_camera: (S, N, 3, 3) rotation from this view to the real camera.
    """

    observed: Bool[Tensor, "S N"]
    points: Float[Tensor, "S N L 3"]
    image_points: Float[Tensor, "S N L 2"]
    visibility: Float[Tensor, "S N L"]
    inverse_depth: Float[Tensor, "S N"]
    to_camera: Float[Tensor, "S N 3 3"]

    def mirror(self) -> PersonView:
        """The view in a mirror that swaps left and right; ``to_camera`` stays that of the original."""
        order = list(MIRRORED_LANDMARKS)
        flip = self.points.new_tensor([-1.0, 1.0, 1.0])
        return PersonView(
            observed=self.observed, points=self.points[:, :, order] * flip,
            image_points=self.image_points[:, :, order] * flip[:2],
            visibility=self.visibility[:, :, order], inverse_depth=self.inverse_depth, to_camera=self.to_camera,
        )  # fmt: skip


def turn_to(direction: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Shortest rotation that takes the optical axis (0, 0, 1) to a unit vector with positive z (Rodrigues)."""
    x, y, z = direction.unbind(-1)
    share = 1.0 / (1.0 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def view_person(
    landmarks_px: Float[Tensor, "S N L 3"],
    landmarks_world: Float[Tensor, "S N L 3"],
    valid: Bool[Tensor, "S N"],
    intrinsics: Float[Tensor, "S N 3 3"],
) -> PersonView:
    """Turn the camera to the person; NaN landmarks and frames that are not valid count as not observed."""
    observed = valid & landmarks_px.isfinite().all(-1).all(-1) & landmarks_world.isfinite().all(-1).all(-1)
    px = torch.where(observed[..., None, None], landmarks_px, 0.0)
    points = torch.where(observed[..., None, None], landmarks_world, 0.0)
    visibility = px[..., 2].clamp(0.0, 1.0)
    rays = torch.cat([px[..., :2], torch.ones_like(px[..., :1])], -1) @ torch.linalg.inv(intrinsics).transpose(-1, -2)
    pelvis = torch.nn.functional.normalize(rays[..., LEFT_HIP, :] + rays[..., RIGHT_HIP, :], dim=-1)
    to_camera = turn_to(pelvis)
    turned = rays @ to_camera
    # Rays more than some 80° off the person's own are guesses of the landmark model, far outside the picture.
    image_points = turned[..., :2] / turned[..., 2:].clamp_min(0.15)
    image_points = torch.where(observed[..., None, None], image_points, 0.0)
    return PersonView(
        observed=observed, points=points, image_points=image_points, visibility=visibility,
        inverse_depth=_inverse_depth(points, image_points, visibility), to_camera=to_camera,
    )  # fmt: skip


def image_aligned_points(view: PersonView) -> Float[Tensor, "S N L 3"]:
    """Landmarks in metres whose x and y agree with the picture where they are visible, with the model's own depth.

    A point at depth 1/i + z on the ray q is at x = q·(1/i + z), with the inverse depth i of the person.
    """
    inverse = view.inverse_depth[..., None, None]
    pictured = view.image_points * (1.0 / inverse + view.points[..., 2:])
    share = view.visibility[..., None]
    return torch.cat([torch.lerp(view.points[..., :2], pictured, share), view.points[..., 2:]], dim=-1)


def place_landmarks(centred: Float[Tensor, "S N L 3"], view: PersonView) -> Float[Tensor, "S N 3"]:
    """Closed-form position (``geometry.ruler``) of a body from its landmarks about any origin, in the turned camera."""
    intrinsics = torch.diag(centred.new_tensor([_PIXELS_PER_UNIT, _PIXELS_PER_UNIT, 1.0]))
    weights = (view.visibility + _MIN_WEIGHT) * view.observed[..., None]
    transl, _ = solve_translation(
        centred, view.image_points * _PIXELS_PER_UNIT, weights, intrinsics.expand(*view.observed.shape, 3, 3)
    )
    return transl


def _inverse_depth(
    points: Float[Tensor, "S N L 3"], image_points: Float[Tensor, "S N L 2"], visibility: Float[Tensor, "S N L"]
) -> Float[Tensor, "S N"]:
    """Size in the picture over size in metres, weighted by visibility (weak perspective)."""
    weight = (visibility.square() + _MIN_VISIBILITY**2)[..., None]
    weight = weight / weight.sum(-2, keepdim=True)
    size = points[..., :2] - (weight * points[..., :2]).sum(-2, keepdim=True)
    image_size = image_points - (weight * image_points).sum(-2, keepdim=True)
    # Ratio of spreads, not regression: a wrong pose must not make the person look further away than the size says.
    ratio = (weight * image_size.square()).sum((-1, -2)) / (weight * size.square()).sum((-1, -2)).clamp_min(1e-6)
    return ratio.clamp(_SCALE_LIMITS[0] ** 2, _SCALE_LIMITS[1] ** 2).sqrt()
