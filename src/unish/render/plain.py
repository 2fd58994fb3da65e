"""A z-buffer rasteriser in numpy: exact, without any system package, and slow. The twin that checks the OpenGL one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from unish.render.scene import SCENE_ID, SKY_ID, Frame, Lighting, Mesh, Scene, join_meshes, vertex_normals

NEAR = 0.02
"""Surfaces closer than this (metres) are cut off, in both renderers."""
CANDIDATES_AT_ONCE = 2_000_000


class Fragments(NamedTuple):
    """The nearest surface at each pixel centre.

    Attributes:
        depth: (H, W) z in the unit of the vertices; 0 where nothing was hit.
        face: (H, W) index of the face; −1 where nothing was hit.
        barycentrics: (H, W, 3) weights of the face's three vertices *in space* (perspective-correct); 0 without a face.
    """

    depth: Float32[ndarray, "H W"]
    face: Int[ndarray, "H W"]
    barycentrics: Float32[ndarray, "H W 3"]


def rasterize(
    vertices_cam: Float[ndarray, "V 3"],
    faces: Int[ndarray, "F 3"],
    intrinsics: Float[ndarray, "3 3"],
    size: tuple[int, int],
    *,
    near: float = NEAR,
) -> Fragments:
    """Nearest surface at every pixel centre (+0.5), both sides of every face.

    Args:
        vertices_cam: camera axes (x right, y down, z forward).
        faces: vertex indices.
        intrinsics: in pixels of the image.
        size: (height, width).
        near: nothing with z below this is drawn; faces that cross the plane are cut there exactly.
    """
    height, width = size
    pixels, depths, weights, parents = _project(vertices_cam, faces, intrinsics, near)
    first, count = _candidate_boxes(pixels, size)
    depth = np.full(height * width, np.inf)
    winner = np.full(height * width, -1, np.int64)
    bary = np.zeros((height * width, 3), np.float32)
    nearest = np.zeros(height * width, np.int64)
    for block in _blocks(count[:, 0] * count[:, 1]):
        triangle, pixel, z, share = _cover(block, pixels, depths, first, count, width)
        # Farthest first, and on equal depth the higher face index: the last one that is written to a pixel stays.
        order = len(z) - 1 - np.argsort(-z[::-1], kind="stable")
        nearest[pixel[order]] = order
        covered = np.zeros(height * width, bool)
        covered[pixel] = True
        keep = nearest[covered]
        keep = keep[z[keep] < depth[pixel[keep]]]
        at, own = pixel[keep], triangle[keep]
        depth[at], winner[at] = z[keep], parents[own]
        bary[at] = share[keep] if weights is None else np.einsum("nk,nkj->nj", share[keep], weights[own])
    depth[winner < 0] = 0.0
    return Fragments(depth.reshape(size).astype(np.float32), winner.reshape(size), bary.reshape(height, width, 3))


def draw_depth(
    vertices_cam: Float[ndarray, "V 3"],
    faces: Int[ndarray, "F 3"],
    intrinsics: Float[ndarray, "3 3"],
    size: tuple[int, int],
    *,
    near: float = NEAR,
) -> Float32[ndarray, "H W"]:
    """The depth that ``rasterize`` gives, to the bit and in two thirds of the time; for the arguments see there."""
    height, width = size
    pixels, depths, _, _ = _project(vertices_cam, faces, intrinsics, near)
    first, count = _candidate_boxes(pixels, size)
    depth = np.full(height * width, np.inf)
    for block in _blocks(count[:, 0] * count[:, 1]):
        _, pixel, z, _ = _cover(block, pixels, depths, first, count, width)
        np.minimum.at(depth, pixel, z)
    depth[np.isinf(depth)] = 0.0
    return depth.reshape(size).astype(np.float32)


def render_mesh(
    vertices_cam: Float[ndarray, "V 3"],
    faces: Int[ndarray, "F 3"],
    intrinsics: Float[ndarray, "3 3"],
    size: tuple[int, int],
) -> tuple[Float32[ndarray, "H W"], Float32[ndarray, "H W 3"]]:
    """Depth (0 = nothing) and smooth unit normals in camera axes, turned towards the camera (0 = nothing)."""
    fragments = rasterize(vertices_cam, faces, intrinsics, size)
    normals = vertex_normals(np.asarray(vertices_cam, np.float32), np.asarray(faces, np.int32))
    return fragments.depth, _towards_camera(interpolate(fragments, faces, normals), vertices_cam, faces, fragments)


class PlainRenderer:
    """The numpy twin of the OpenGL renderer: same depth, ids, normals; no shadows, gloss and filtering."""

    name = "plain"

    def load(self, scene: Scene) -> None:
        self._scene = scene
        self._still = join_meshes([scene.shell, scene.objects])

    def render(
        self,
        people_vertices: Float32[ndarray, "V 3"],
        people_normals: Float32[ndarray, "V 3"],
        w2c: Float[ndarray, "4 4"],
        intrinsics: Float[ndarray, "3 3"],
        size: tuple[int, int],
    ) -> Frame:
        """Draw the loaded scene with the people where they are now (scene axes)."""
        moved = replace(self._scene.people, vertices=people_vertices, normals=people_normals)
        mesh = join_meshes([self._still, moved])
        rotation, translation = w2c[:3, :3], w2c[:3, 3]
        camera_vertices = mesh.vertices @ rotation.T + translation
        fragments = rasterize(camera_vertices, mesh.faces, intrinsics, size)
        hit = fragments.face >= 0
        ids = np.where(hit, mesh.ids[mesh.faces[fragments.face, 0]], SCENE_ID).astype(np.int16)
        drawn_normals = interpolate(fragments, mesh.faces, mesh.normals)
        colour = _shade(self._scene, mesh, fragments, drawn_normals, w2c)
        sky = ids == SKY_ID
        return Frame(
            colour=colour,
            depth=np.where(sky, 0, fragments.depth).astype(np.float32),
            ids=ids,
            normals=_towards_camera(drawn_normals @ rotation.T, camera_vertices, mesh.faces, fragments),
        )


def _cut_at_near_plane(
    triangles: Float[ndarray, "F 3 3"], near: float
) -> tuple[Float[ndarray, "M 3 3"], Float[ndarray, "M 3 3"] | None, Int[ndarray, "M"]]:
    """Parts of the triangles beyond the plane: corners, these as weights of the parent's corners, parent index.

    In the order of their parents. The weights are ``None`` where all are whole.
    """
    beyond = triangles[..., 2] >= near
    if beyond.all():
        return triangles, None, np.arange(len(triangles))
    num_beyond = beyond.sum(1)
    whole = np.flatnonzero(num_beyond == 3)
    corners, parents = [triangles[whole]], [whole]
    weights = [np.broadcast_to(np.eye(3), (len(whole), 3, 3))]
    for wanted in (1, 2):
        cut = np.flatnonzero(num_beyond == wanted)
        # Rotate the corners so that the lone one (the only one beyond, or the only one behind) comes first.
        lone = np.argmax(beyond[cut] if wanted == 1 else ~beyond[cut], axis=1)
        turned = np.eye(3)[(lone[:, None] + np.arange(3)) % 3]
        z = np.einsum("mkj,mj->mk", turned, triangles[cut][..., 2])
        toward = ((near - z[:, :1]) / (z[:, 1:] - z[:, :1]))[..., None]
        edge = turned[:, :1] * (1 - toward) + turned[:, 1:] * toward  # where edges lone→1 and lone→2 meet the plane
        if wanted == 1:
            pieces = [np.stack([turned[:, 0], edge[:, 0], edge[:, 1]], axis=1)]
        else:
            pieces = [
                np.stack([edge[:, 0], turned[:, 1], turned[:, 2]], axis=1),
                np.stack([edge[:, 0], turned[:, 2], edge[:, 1]], axis=1),
            ]
        for piece in pieces:
            weights.append(piece)
            corners.append(piece @ triangles[cut])
            parents.append(cut)
    of_parent = np.concatenate(parents)
    order = np.argsort(of_parent, kind="stable")
    return np.concatenate(corners)[order], np.concatenate(weights)[order], of_parent[order]


class _Projected(NamedTuple):
    """M triangles beyond the near plane: corners in the picture, their z, and what ``_cut_at_near_plane`` says."""

    pixels: Float[ndarray, "M 3 2"]
    depths: Float[ndarray, "M 3"]
    weights: Float[ndarray, "M 3 3"] | None
    parents: Int[ndarray, "M"]


def _project(
    vertices_cam: Float[ndarray, "V 3"], faces: Int[ndarray, "F 3"], intrinsics: Float[ndarray, "3 3"], near: float
) -> _Projected:
    vertices, camera = np.asarray(vertices_cam, np.float64), np.asarray(intrinsics, np.float64).T
    if (vertices[:, 2] >= near).all():
        # A vertex is a corner of about six triangles. One coordinate of one corner after the other: what follows goes
        # through them so.
        projected, corner = (vertices @ camera).T, np.ascontiguousarray(faces.T)
        pixels = np.stack([projected[axis] / projected[2] for axis in range(2)])[:, corner]
        return _Projected(pixels.transpose(2, 1, 0), vertices[:, 2][corner].T, None, np.arange(len(faces)))
    corners, weights, parents = _cut_at_near_plane(vertices[faces], near)
    projected = corners @ camera
    return _Projected(projected[..., :2] / projected[..., 2:], corners[..., 2], weights, parents)


def _candidate_boxes(
    pixels: Float[ndarray, "M 3 2"], size: tuple[int, int]
) -> tuple[Int[ndarray, "M 2"], Int[ndarray, "M 2"]]:
    """First (column, row) and number of (columns, rows) whose pixel centres lie in each triangle's bounding box."""
    last_pixel = np.array([size[1], size[0]]) - 1
    # Not by min and max over an axis of three: numpy takes ten times as long for that.
    one, two, three = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    lowest, highest = np.minimum(np.minimum(one, two), three), np.maximum(np.maximum(one, two), three)
    first = np.clip(np.ceil(lowest - 0.5), 0, last_pixel + 1).astype(np.int64)
    last = np.clip(np.floor(highest - 0.5), -1, last_pixel).astype(np.int64)
    return first, np.maximum(last - first + 1, 0)


def _blocks(candidates: Int[ndarray, "M"]) -> list[Int[ndarray, "B"]]:
    """Indices of the triangles that have candidates, in blocks of bounded memory."""
    index = np.flatnonzero(candidates)
    total = np.cumsum(candidates[index])
    return [part for part in np.split(index, _cuts(total)) if len(part)]


def _cuts(total: Int[ndarray, "M"]) -> Int[ndarray, "C"]:
    if len(total) == 0:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.diff(total // CANDIDATES_AT_ONCE)) + 1


def _cover(
    block: Int[ndarray, "B"],
    pixels: Float[ndarray, "M 3 2"],
    depths: Float[ndarray, "M 3"],
    first: Int[ndarray, "M 2"],
    count: Int[ndarray, "M 2"],
    width: int,
) -> tuple[Int[ndarray, "N"], Int[ndarray, "N"], Float[ndarray, "N"], Float[ndarray, "N 3"]]:
    """Every (triangle, pixel) pair that covers: triangle, flat pixel index, z, weights of the corners in space."""
    num = count[block, 0] * count[block, 1]
    triangle = np.repeat(block, num)
    within = np.arange(num.sum()) - np.repeat(np.cumsum(num) - num, num)
    wide = count[triangle, 0]
    down = within // wide
    column, row = first[triangle, 0] + (within - down * wide), first[triangle, 1] + down
    (x1, y1), (x2, y2), (x3, y3) = (
        (pixels[:, corner, 0][triangle] - (column + 0.5), pixels[:, corner, 1][triangle] - (row + 0.5))
        for corner in range(3)
    )
    # Twice the signed area of the pixel with the edge that faces each corner.
    areas = (x2 * y3 - y2 * x3, x3 * y1 - y3 * x1, x1 * y2 - y1 * x2)
    total = areas[0] + areas[1] + areas[2]
    lowest, highest = (find(find(areas[0], areas[1]), areas[2]) for find in (np.minimum, np.maximum))
    inside = np.flatnonzero(((lowest >= 0) | (highest <= 0)) & (total != 0))
    triangle, total = triangle[inside], total[inside]
    over_z = [areas[corner][inside] / total / depths[:, corner][triangle] for corner in range(3)]
    z = 1.0 / (over_z[0] + over_z[1] + over_z[2])  # 1/z is linear in the image
    share = np.stack([one * z for one in over_z], axis=1)
    return triangle, row[inside] * width + column[inside], z, share


def interpolate(
    fragments: Fragments, faces: Int[ndarray, "F 3"], values: Float[ndarray, "V C"]
) -> Float[ndarray, "H W C"]:
    """Vertex values at the pixels; 0 where nothing was hit."""
    hit = fragments.face >= 0
    out = np.zeros((*hit.shape, values.shape[1]), np.result_type(fragments.barycentrics, values))
    out[hit] = np.einsum("nk,nkc->nc", fragments.barycentrics[hit], values[faces[fragments.face[hit]]])
    return out


def _towards_camera(
    normals: Float[ndarray, "H W 3"],
    vertices_cam: Float[ndarray, "V 3"],
    faces: Int[ndarray, "F 3"],
    fragments: Fragments,
) -> Float32[ndarray, "H W 3"]:
    """Unit length, and turned so that normal · viewing ray is not positive; zero stays zero."""
    points = interpolate(fragments, faces, np.asarray(vertices_cam, np.float32))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    unit = normals / np.maximum(length, 1e-6) * (length > 1e-6)
    away = (unit * points).sum(-1, keepdims=True) > 0
    return np.where(away, -unit, unit).astype(np.float32)


def _shade(
    scene: Scene,
    mesh: Mesh,
    fragments: Fragments,
    normals: Float[ndarray, "H W 3"],
    w2c: Float[ndarray, "4 4"],
) -> ndarray:
    """sRGB of every pixel: Lambert sun, lamps and hemisphere light without shadows; nearest texel."""
    light = scene.lighting
    points = interpolate(fragments, mesh.faces, mesh.vertices)
    albedo = interpolate(fragments, mesh.faces, mesh.colours) * _nearest_texels(scene, mesh, fragments)
    albedo = albedo**2  # gamma 2 stands for sRGB's curve in both renderers
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    lit = length > 0.1
    normal = normals / np.maximum(length, 1e-6)
    view = -w2c[:3, :3].T @ w2c[:3, 3] - points
    normal = np.where((normal * view).sum(-1, keepdims=True) < 0, -normal, normal)
    shaded = np.where(lit, albedo * _irradiance(light, points, normal), albedo)
    haze = 1 - np.exp(-light.fog_density * fragments.depth)[..., None] * np.ones_like(shaded)
    colour = np.where(lit, shaded * (1 - haze) + light.fog_colour * haze, shaded)
    colour = np.where(fragments.face[..., None] >= 0, colour, 0)
    return (np.sqrt(np.clip(colour, 0, 1)) * 255 + 0.5).astype(np.uint8)


def _irradiance(
    light: Lighting, points: Float[ndarray, "H W 3"], normal: Float[ndarray, "H W 3"]
) -> Float[ndarray, "H W 3"]:
    """Light that reaches each point, linear RGB."""
    upward = (0.5 + 0.5 * normal @ light.up)[..., None]
    total = light.ground_colour * (1 - upward) + light.sky_colour * upward
    total = total + np.maximum(normal @ light.sun_direction, 0)[..., None] * light.sun_colour
    for position, colour in zip(light.lamp_positions, light.lamp_colours, strict=True):
        ray = position - points
        distance2 = (ray**2).sum(-1, keepdims=True)
        facing = np.maximum((normal * ray).sum(-1, keepdims=True), 0) / np.sqrt(distance2 + 1e-9)
        total = total + colour * facing / (0.3 + distance2)
    return total


def _nearest_texels(scene: Scene, mesh: Mesh, fragments: Fragments) -> Float[ndarray, "H W 3"]:
    """Texture colour in 0..1; 1 where a face has no texture."""
    if len(mesh.faces) == 0 or len(scene.textures) == 0:
        return np.ones((*fragments.face.shape, 3), np.float32)
    side = scene.textures.shape[1]
    layer = mesh.layers[mesh.faces[fragments.face, 0]]
    uv = interpolate(fragments, mesh.faces, mesh.uv)
    texel = np.floor((uv % 1.0) * side).astype(np.int64).clip(0, side - 1)
    colours = scene.textures[np.maximum(layer, 0), texel[..., 1], texel[..., 0]] / np.float32(255)
    return np.where((layer >= 0)[..., None], colours, np.float32(1))
