"""Relief of people in crops → their points in the world, on their bodies.

A surface head sees in a crop the folds and the roundness of a person's surface, but neither how far away it is nor how
far an arm is held out. The body knows that, and nothing of folds. So

    log depth = relief · side / f − log(ray along the middle) + level + tilt · (pixel − centre) / side + smooth,

level and tilt fitted robustly to the log depth of the body, or where too little of a body is seen to that of the
person's pixels, and ``smooth`` what is left between the two, smoothed within the body's parts (``body_guide``). So the
points follow whatever moves bodies or depth.

Legend: K people in one frame, crops with relief of S×S and colours of G×G, depth of H×W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int16
from torch import Tensor
from torch.nn import functional

from unish.body import Body
from unish.geometry.camera import pixel_grid
from unish.geometry.crop_box import place_crops, place_in_crop, sample_crops
from unish.geometry.linear import solve_positive_definite
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.surfaces import depth_edges, erode, link_neighbours, normals_from_points
from unish.reconstruction.body_guide import draw_bodies, smooth_within_parts
from unish.structs import PeopleCloud, PersonPoints, Reconstruction, ReliefCrops
from unish.structs.person_points import NO_CLOUD

OUTLINE_PX = 2
"""At the outline of a mask, the scene's depth is a mixture of person and background."""

MIN_PIXELS = 30
"""Fewer points of a crop place nobody."""

EDGE_STEP = 0.04
"""Relative change of depth between neighbours beyond which they are two surfaces; what lies between is left out."""

_RIDGE = 0.002
_ROUNDS = 5
_LEAST_ERROR = 0.01
"""In log-depth, below which a residual of the fit counts like any smaller one."""


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """The pixels of K crops in the picture of the depth.

    Attributes:
        pixels: where they are in it.
        rays: at z = 1.
        log_depth: before the fit.
        shows: which show the person.
        camera: intrinsics in pixels of each crop.
    """

    pixels: Float[Tensor, "K S S 2"]
    rays: Float[Tensor, "K S S 3"]
    log_depth: Float[Tensor, "K S S"]
    shows: Bool[Tensor, "K S S"]
    camera: Float[Tensor, "K 3 3"]


def make_person_points(record: Reconstruction, relief: Callable[[int], ReliefCrops], body: Body) -> PersonPoints:
    """Points of people in all dense frames of a record, computed when a frame is read.

    Args:
        relief: dense frame → its crops, of people of the record and the picture that its dense arrays show.
        body: of the record.
    """

    def read(row: int) -> PeopleCloud:
        frame, crops = int(record.dense_frames[row]), relief(row)
        camera, c2w = (torch.from_numpy(values[frame]) for values in (record.intrinsics, record.c2w))
        depth, mask = (torch.from_numpy(frames[row]) for frames in (record.depth, record.person_masks))
        who = crops.person
        vertices = body.vertices_from_axis_angle(
            record.betas[who], record.global_orient_aa[who, frame], record.body_pose_aa[who, frame],
            record.transl[who, frame],
        )  # fmt: skip
        in_world = torch.from_numpy(vertices).float()
        local = transform_points(invert_rigid(c2w), in_world.flatten(0, 1)).reshape(in_world.shape)
        return place_people(crops, depth, mask, camera, c2w, local, record.faces)

    return PersonPoints(len(record.dense_frames), read)


def place_people(
    crops: ReliefCrops,
    depth: Float[Tensor, "H W"],
    mask: Int16[Tensor, "H W"],
    intrinsics: Float[Tensor, "3 3"],
    c2w: Float[Tensor, "4 4"],
    vertices: Float[Tensor, "K V 3"],
    faces: Int[np.ndarray, "F 3"],
) -> PeopleCloud:
    """The points of everybody of whom there is a crop, and a body or depth to place it.

    Nobody gets more points than the crop had pixels in the picture that it was cut from.

    Args:
        depth: metres, after the correction at people; 0 where unknown.
        mask: index into the people axis, −1 = scene.
        intrinsics: pixels of ``depth``.
        vertices: of the bodies, camera axes, metres; NaN where there is none.
        faces: triangles of the bodies.
    """
    if not len(crops.person):
        return NO_CLOUD
    own = mask == torch.from_numpy(crops.person)[:, None, None]
    grid = _open_grid(crops, own, intrinsics)
    placed, is_placed = _place(grid, partial(_sample_depth, grid, own, depth), vertices, faces)
    kept = grid.shows & is_placed[:, None, None]
    surface, kept = _find_surface(grid, torch.where(kept, placed, 0.0).exp(), kept)
    return _gather(crops, own, intrinsics, surface, kept, c2w)


def _place(
    grid: _Grid,
    sample_depth: Callable[[], Float[Tensor, "K S S"]],
    vertices: Float[Tensor, "K V 3"],
    faces: Int[np.ndarray, "F 3"],
) -> tuple[Float[Tensor, "K S S"], Bool[Tensor, "K"]]:
    """Log-depth, and of whom it is known.

    Args:
        sample_depth: gives the depth of each person's own pixels, 0 where unknown; asked where somebody has no body.
    """
    drawn = draw_bodies(vertices, faces, grid.camera, grid.shows.shape[-1])
    has_body = (((drawn > 0) & grid.shows).sum((-2, -1)) >= MIN_PIXELS)[:, None, None]
    wanted = drawn if has_body.all() else torch.where(has_body, drawn, sample_depth())
    known = (wanted > 0) & grid.shows
    wanted = torch.where(known, wanted, 1.0).log()
    placed = grid.log_depth + _fit(grid.log_depth, wanted, known)
    placed = placed + smooth_within_parts(wanted - placed, wanted, known & has_body, grid.shows)
    return placed, known.sum((-2, -1)) >= MIN_PIXELS


def _find_surface(
    grid: _Grid, z: Float[Tensor, "K S S"], kept: Bool[Tensor, "K S S"]
) -> tuple[Float[Tensor, "K S S 4"], Bool[Tensor, "K S S"]]:
    """z and normal (camera axes), and where they are those of one surface."""
    surface, smooth = functional.pad(z[..., None], (0, 3)), kept.clone()
    # People fill a small part of a square around them.
    rows, columns = (slice(*_find_bounds(kept.any(0).any(dim))) for dim in (1, 0))
    part = (slice(None), rows, columns)
    links = link_neighbours(z[part], kept[part], relative_step=EDGE_STEP)
    surface[(*part, slice(1, None))], _ = normals_from_points(
        grid.rays[part] * z[part][..., None], kept[part], links=links
    )
    smooth[part] &= ~depth_edges(z[part], kept[part], relative_step=EDGE_STEP)
    return surface, smooth


def _find_bounds(line: Bool[Tensor, "N"]) -> tuple[int, int]:
    """The first place that is true and the one after the last; 0 and 0 where none is."""
    there = line.nonzero()[:, 0].tolist()
    return (there[0], there[-1] + 1) if there else (0, 0)


def _sample_depth(grid: _Grid, own: Bool[Tensor, "K H W"], depth: Float[Tensor, "H W"]) -> Float[Tensor, "K S S"]:
    """Depth of each person's own pixels, those at the outline left out; never averaged over an edge."""
    inner = (erode(own, OUTLINE_PX) & (depth > 0)).float()
    return sample_crops(inner * depth, grid.pixels, nearest=True)


def _gather(
    crops: ReliefCrops,
    own: Bool[Tensor, "K H W"],
    intrinsics: Float[Tensor, "3 3"],
    surface: Float[Tensor, "K S S 4"],
    kept: Bool[Tensor, "K S S"],
    c2w: Float[Tensor, "4 4"],
) -> PeopleCloud:
    """Points with the density of the crops' colours, between pixels of the relief that are kept.

    Args:
        surface: z and normal (camera axes).
    """
    fine = int(crops.colours.shape[1])
    # What lies outside of the person must not be mixed in.
    weighted = torch.cat([surface * kept[..., None], kept[..., None].float()], dim=-1).permute(0, 3, 1, 2)
    values = functional.interpolate(weighted, (fine, fine), mode="bilinear").permute(0, 2, 3, 1)
    shown, pixels = _show(crops, own, (values[..., 4] > 0.5) & _thin(crops))
    of_shown = values[shown]
    z, normals = of_shown[:, :1] / of_shown[:, 4:], functional.normalize(of_shown[:, 1:4], dim=-1)
    local = _cast_rays(pixels, intrinsics) * z
    return PeopleCloud(
        points=transform_points(c2w, local).float().numpy(),
        colours=crops.colours[shown.numpy()],
        normals=(normals @ c2w[:3, :3].mT).numpy().astype(np.float16),
        person=np.broadcast_to(crops.person[:, None, None], shown.shape)[shown.numpy()],
    )


def _show(
    crops: ReliefCrops, own: Bool[Tensor, "K H W"], wanted: Bool[Tensor, "K G G"]
) -> tuple[Bool[Tensor, "K G G"], Float[Tensor, "N 2"]]:
    """Which of the ``wanted`` pixels of the crops lie on the person, and where these are in the picture."""
    size, fine = (int(own.shape[-2]), int(own.shape[-1])), int(wanted.shape[-1])
    shown, found = wanted.clone(), list[Tensor]()
    for box, mask, some in zip(torch.from_numpy(crops.boxes), own, shown, strict=True):
        rows, columns = some.nonzero(as_tuple=True)
        places = (torch.stack([columns, rows], dim=-1) + 0.5) / fine
        pixels = place_in_crop(box, places, crops.size, size)
        inside = sample_crops(mask[None].float(), pixels[None, None])[0, 0] > 0.5
        some[some.clone()] = inside
        found.append(pixels[inside])
    return shown, torch.cat(found)


def _cast_rays(pixels: Float[Tensor, "*batch 2"], intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, "*batch 3"]:
    """Rays at z = 1."""
    return functional.pad((pixels - intrinsics[:2, 2]) / intrinsics.diagonal()[:2], (0, 1), value=1.0)


def _open_grid(crops: ReliefCrops, own: Bool[Tensor, "K H W"], intrinsics: Float[Tensor, "3 3"]) -> _Grid:
    boxes, size = torch.from_numpy(crops.boxes), (int(own.shape[-2]), int(own.shape[-1]))
    pixels = place_crops(boxes, crops.size, size, crops.relief.shape[-1])
    middle = place_crops(boxes, crops.size, size, 1)
    rays, axis = _cast_rays(pixels, intrinsics), _cast_rays(middle, intrinsics)
    along = (rays * functional.normalize(axis, dim=-1)).sum(-1)
    # The camera in pixels of the picture that was cut, which are square.
    camera = intrinsics * torch.tensor([[crops.size[1] / size[1]], [crops.size[0] / size[0]], [1.0]])
    unit = boxes[:, 2] / camera.diagonal()[:2].prod().sqrt()
    cut = camera - functional.pad(boxes[:, :2].float(), (0, 1))[:, :, None] * torch.tensor([0.0, 0.0, 1.0])
    scale = crops.relief.shape[-1] / boxes[:, 2]
    return _Grid(
        pixels=pixels,
        rays=rays,
        log_depth=torch.from_numpy(crops.relief) * unit[:, None, None] - along.log(),
        shows=sample_crops(own.float(), pixels) > 0.5,
        camera=cut * torch.stack([scale, scale, torch.ones_like(scale)], dim=-1)[..., None],
    )


def _fit(
    before: Float[Tensor, "K S S"], wanted: Float[Tensor, "K S S"], known: Bool[Tensor, "K S S"]
) -> Float[Tensor, "K S S"]:
    """The level and tilt that the known pixels ask for: least absolute residuals, by re-weighting."""
    size = known.shape[-1]
    place = pixel_grid(size, size, like=wanted).flatten(0, 1) / size - 0.5
    design = functional.pad(place, (0, 1), value=1.0)
    prior = torch.diag(torch.tensor([_RIDGE, _RIDGE, 1e-6]))
    residual = (wanted - before).flatten(1)
    weights = known.flatten(1).float()
    solution = torch.zeros(len(known), 3)
    for _ in range(_ROUNDS):
        scaled = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
        normal = torch.einsum("kn,ni,nj->kij", scaled, design, design) + prior
        solution = solve_positive_definite(normal, torch.einsum("kn,ni,kn->ki", scaled, design, residual))
        left = (residual - solution @ design.T).abs().clamp_min(_LEAST_ERROR)
        weights = torch.where(known.flatten(1), 1.0 / left, 0.0)
    return (solution @ design.T).unflatten(1, (size, size))


def _thin(crops: ReliefCrops) -> Bool[Tensor, "K G G"]:
    """Every pixel of a crop that was made smaller than it was; every n-th along rows and columns of one made larger."""
    size = int(crops.colours.shape[1])
    steps = torch.from_numpy(np.ceil(size / crops.boxes[:, 2]).astype(int))[:, None]
    chosen = torch.arange(size) % steps == steps // 2
    return chosen[:, :, None] & chosen[:, None, :]
