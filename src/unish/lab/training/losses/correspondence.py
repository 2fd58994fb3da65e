"""Bodies against the people's own reconstructed points, for real video without truth.

After the fine alignment stage of UniSH: visible vertices of each body are drawn to the person's points, the points must
not lie behind the body, and landmarks must appear where they were detected.

Legend: B clips, P people, N frames, V vertices, S drawn points, L landmarks, H×W pixels; v vertex, p point, ρ penalty.
All positions are metres in the camera: the caller multiplies the scene by its predicted scale, so that gradients reach
scale and bodies alike. Every term is a mean over the (person, frame) pairs that have evidence, 0 where none has.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unish.geometry.camera import project
from unish.geometry.surfaces import rasterize_depth, visible_points
from unish.lab.training.losses.penalties import charbonnier, mean_along, mean_where
from unish.lab.training.losses.sampling import look_up, sample_entries, take

_MIN_DEPTH = 0.1  # metres
_EXACTLY = "donot_use_mm_for_euclid_dist"  # a matrix product loses the digits of small distances far away


@torch.no_grad()
def find_visible_vertices(
    vertices: Float[Tensor, "B P N V 3"],
    faces: Int[Tensor, "F 3"],
    intrinsics: Float[Tensor, "B N 3 3"],
    person_ids: Int[Tensor, "B N H W"],
    valid: Bool[Tensor, "B P N"],
    *,
    tolerance: float = 0.02,
) -> Bool[Tensor, "B P N V"]:
    """Vertices that a camera sees: in front of, or within ``tolerance`` metres behind, the nearest body of the frame.

    All valid bodies of a frame share one z-buffer, so people hide each other. What hides people otherwise is known from
    the picture: a vertex whose pixel does not show its person (``person_ids``) is not seen either.
    """
    vertices = torch.where(valid[..., None, None], vertices, torch.nan)
    cameras = intrinsics[:, None].expand(*valid.shape, 3, 3)
    each = rasterize_depth(vertices, faces, cameras, (person_ids.shape[-2], person_ids.shape[-1]))
    nearest = torch.where(each > 0, each, torch.inf).amin(1, keepdim=True)
    nearest = torch.where(nearest.isinf(), 0.0, nearest).expand_as(each)
    seen = visible_points(vertices, nearest, cameras, tolerance=tolerance)
    return seen & _own_pixel(vertices, cameras, person_ids) & valid[..., None]


def sample_person_points(
    local_points: Float[Tensor, "B N H W 3"],
    person_ids: Int[Tensor, "B N H W"],
    num_people: int,
    *,
    num_points: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "B P N S 3"], Bool[Tensor, "B P N S"]]:
    """Points at randomly drawn pixels of every person, and which of them are real. Gradients pass to the points."""
    people = torch.arange(num_people, device=person_ids.device)
    mask = (person_ids[:, None] == people[:, None, None, None]).flatten(-2)
    index, drawn = sample_entries(mask & (local_points[..., 2] > 0).flatten(-2)[:, None], num_points, generator)
    flat = local_points.flatten(-3, -2)[:, None].expand(-1, num_people, -1, -1, -1)
    return take(flat, index), drawn


def measure_distances(points: Float[Tensor, "B P N S 3"], drawn: Bool[Tensor, "B P N S"]) -> Float[Tensor, "B P N"]:
    """Mean distance of a person's points from the camera, at least 0.1 m, with gradient; 1 where there are none.

    The unit in which a body should be compared with its points: in metres, every distance between them shrinks with the
    scale of the scene, and a network that may choose the scale buys agreement by making the world small.
    """
    length = torch.where(drawn[..., None], points, 1.0).norm(dim=-1)
    return torch.where(drawn.any(-1), mean_along(length, drawn).clamp_min(_MIN_DEPTH), 1.0)


def surface_loss(
    vertices: Float[Tensor, "B P N V 3"],
    visible: Bool[Tensor, "B P N V"],
    points: Float[Tensor, "B P N S 3"],
    drawn: Bool[Tensor, "B P N S"],
    *,
    num_vertices: int,
    width: float | None,
    generator: torch.Generator,
) -> Tensor:
    """One-sided Chamfer distance: mean ρ(min over the person's points of ‖v − p‖²) over visible vertices, metres²
    (or squares of whatever unit vertices and points are given in, see ``measure_distances``).

    One-sided, for a point may be hair, cloth or a bag, to which no vertex belongs. Not quite zero on truth: points are
    as far apart as pixels.

    Args:
        points, drawn: from ``sample_person_points``.
        num_vertices: drawn from the visible ones.
        width: of the Charbonnier penalty ρ, in the same unit; ``None`` for the plain square of the paper.
    """
    index, kept = sample_entries(visible, num_vertices, generator)
    chosen = take(vertices, index)
    with torch.no_grad():
        distance = torch.cdist(chosen, points, compute_mode=_EXACTLY).masked_fill(~drawn[..., None, :], torch.inf)
        nearest = distance.nan_to_num(torch.inf).argmin(-1)
    usable = kept & drawn.any(-1, keepdim=True)
    # Where nothing is usable, vertices may be NaN (nobody there), and a masked NaN still spoils gradients.
    offset = torch.where(usable[..., None], chosen - take(points, nearest), 0.0)
    squared = charbonnier(offset.square().sum(-1), width)
    return mean_where(mean_along(squared, usable), usable.any(-1))


def order_loss(
    vertices: Float[Tensor, "B P N V 3"],
    visible: Bool[Tensor, "B P N V"],
    local_points: Float[Tensor, "B N H W 3"],
    intrinsics: Float[Tensor, "B N 3 3"],
    *,
    margin: float = 0.01,
    unit: Float[Tensor, "B P N"] | None = None,
) -> Tensor:
    """Depth order: max(0, mean depth of the points − mean depth of the body − margin), metres.

    It keeps the reconstructed surface, which wears clothes, from lying behind the body. Both means go over the same
    places: the visible vertices, and the points at the pixels where these appear. The margin is what a vertex and the
    centre of its pixel may differ on average.

    Args:
        unit: metres in which the distance of each person is measured, for example ``measure_distances``.
    """
    cameras = intrinsics[:, None].expand(*visible.shape[:3], 3, 3)
    places = project(vertices.detach(), cameras)
    depth = look_up(local_points[..., 2][:, None].expand(*visible.shape[:3], -1, -1), places)
    usable = visible & (depth > 0)
    behind = torch.where(usable, depth - vertices[..., 2], 0.0)
    distance = (mean_along(behind, usable) - margin).clamp_min(0.0)
    return mean_where(distance if unit is None else distance / unit, usable.any(-1))


def landmark_loss(
    landmarks: Float[Tensor, "B P N L 3"],
    detected_px: Float[Tensor, "B P N L 3"],
    intrinsics: Float[Tensor, "B N 3 3"],
    valid: Bool[Tensor, "B P N"],
    *,
    width: float = 0.1,
    min_visibility: float = 0.5,
) -> Tensor:
    """Σ v·ρ(‖π(x, K) − u‖² / side²) / Σ v over the detected landmarks of a person: no unit.

    ``side`` is the larger side of the box of the detected landmarks, so a person counts the same near by and far away.

    Args:
        landmarks: of the body (``Body.landmarks``).
        detected_px: x, y in pixels and visibility v in [0, 1]; NaN where there are none.
        width: of the Charbonnier penalty ρ, as a share of ``side``.
        min_visibility: a landmark that is less visible does not count.
    """
    known = detected_px.isfinite().all(-1) & valid[..., None]
    landmarks = torch.where(known[..., None], landmarks, 1.0)
    detected = torch.where(known[..., None], detected_px, 0.0)
    wanted, visibility = detected[..., :2], detected[..., 2]
    usable = known & (visibility >= min_visibility) & (landmarks[..., 2] > _MIN_DEPTH)
    side = _box_side(wanted, known)
    seen = project(landmarks, intrinsics[:, None].expand(*valid.shape, 3, 3), min_depth=_MIN_DEPTH)
    cost = charbonnier(((seen - wanted) / side[..., None, None]).square().sum(-1), width)
    weight = torch.where(usable, visibility, 0.0)
    mean = (weight * cost).sum(-1) / weight.sum(-1).clamp_min(torch.finfo(weight.dtype).tiny)
    return mean_where(mean, usable.any(-1))


def _box_side(pixels: Float[Tensor, "*batch L 2"], known: Bool[Tensor, "*batch L"]) -> Float[Tensor, "*batch"]:
    """Larger side of the box of the known places, at least 8 pixels."""
    low = torch.where(known[..., None], pixels, torch.inf).amin(-2)
    high = torch.where(known[..., None], pixels, -torch.inf).amax(-2)
    return (high - low).amax(-1).clamp_min(8.0)


def _own_pixel(
    vertices: Float[Tensor, "B P N V 3"], cameras: Float[Tensor, "B P N 3 3"], person_ids: Int[Tensor, "B N H W"]
) -> Bool[Tensor, "B P N V"]:
    """Does the pixel of the vertex show the vertex's person?"""
    num_people = vertices.shape[1]
    shown = look_up(person_ids[:, None].expand(-1, num_people, -1, -1, -1), project(vertices, cameras))
    return shown == torch.arange(num_people, device=shown.device)[:, None, None]
