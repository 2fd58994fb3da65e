"""One point cloud of what stands still in a shot: every surface once, however many frames have seen it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8
from numpy import ndarray
from scipy.ndimage import binary_dilation
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unish.export.points import lift_pixels, select_pixels
from unish.render.colours import sample_depth
from unish.structs import Reconstruction, pick_frames

_FAR_M = 30.0
_FAR_MEDIANS = 5.0
"""Beyond both, metres and multiples of the shot's median depth, is sky or guesswork, and people would be specks."""
_PIXELS_PER_VIEW = 60_000
"""Larger depth maps are read in steps of whole pixels; a fused cloud of several views is dense enough so."""
_CUBE = 0.9
"""Side of the smallest cubes over the distance of neighbouring pixels: at 1, rounding would pair some of them."""
_SAME_SURFACE = 0.08
"""Largest |log ratio| of two depths along one ray that are one surface: real depth disagrees by a few per cent."""
_OVERLAP = 4
"""Pixels by which parts of a mesh overlap: depths of two frames that disagree by some per cent would leave gaps."""
_LEAST_TRIANGLES = 20
"""Smaller islands of a mesh are noise at depth edges."""
_STEP = 0.15
"""Relative change of depth between two corners of a triangle; floors seen at a flat angle stay below it."""


@dataclass(frozen=True, kw_only=True)
class FusedPoints:
    """N points of one shot in its world, metres.

    Attributes:
        xyz: (N, 3).
        colours: (N, 3) sRGB, the mean of what was fused.
        confidence: (N,) 0..1, the mean of the same.
    """

    xyz: Float32[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    confidence: Float32[ndarray, "N"]


@dataclass(frozen=True, kw_only=True)
class FusedSurfaces:
    """N vertices of one shot in its world, metres, and triangles that turn their front to the camera that saw them.

    Attributes:
        xyz: (N, 3).
        colours: (N, 3) sRGB.
        faces: (F, 3) vertices, counter-clockwise from the front.
    """

    xyz: Float32[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    faces: Int[ndarray, "F 3"]


@dataclass(frozen=True, kw_only=True)
class _View:
    """A frame in steps of ``step`` pixels: its depth (0 = nothing to compare with), camera, and own points."""

    step: int
    z: Float32[ndarray, "h w"]
    scene: Bool[ndarray, "h w"]
    w2c: Float64[ndarray, "4 4"]
    intrinsics: Float64[ndarray, "3 3"]
    xyz: Float32[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    confidence: Float32[ndarray, "N"]

    def compare(self, xyz: Float32[ndarray, "M 3"]) -> tuple[Int[ndarray, "K"], Int[ndarray, "K"], Float[ndarray, "K"]]:
        """Points that fall on a defined depth: index, flat pixel, log of the point's depth over the seen depth."""
        camera = xyz @ self.w2c[:3, :3].T.astype(np.float32) + self.w2c[:3, 3].astype(np.float32)
        z = camera[:, 2]
        pixels = camera @ self.intrinsics.T.astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            column, row = (np.floor(pixels[:, axis] / z / self.step) for axis in (0, 1))
        height, width = self.z.shape
        index = np.flatnonzero((z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height))
        flat = row[index].astype(np.int64) * width + column[index].astype(np.int64)
        seen = self.z.ravel()[flat]
        index, flat, seen = index[seen > 0], flat[seen > 0], seen[seen > 0]
        return index, flat, np.log(z[index] / seen)


def fuse_scene(
    reconstruction: Reconstruction,
    frames: Int[ndarray, "T"],
    *,
    max_points: int,
    max_views: int = 48,
    margin_px: int = 0,
) -> FusedPoints:
    """Fuse the scene points of the frames of one shot; people, depth edges, low confidence and what is far stay out.

    Frame after frame adds the surfaces that none before it has shown. Points that more frames see through than agree
    with go away: things that moved, and depth that was wrong. What is left is thinned by cubes, which take the mean of
    their points; cubes are as large as pixels at the median depth, or larger, until ``max_points`` or fewer are left.

    Args:
        frames: indices of used frames, all of one shot.
        max_points: most points of the result.
        max_views: most frames that are used, spread evenly over ``frames``.
        margin_px: pixels around people that are left out, too: masks end a little inside of hair and clothes.
    """
    views = _open_views(reconstruction, frames, max_views, margin_px)
    new = _find_new(views)
    points = FusedPoints(
        xyz=np.concatenate([view.xyz[own] for view, own in zip(views, new, strict=True)]),
        colours=np.concatenate([view.colours[own] for view, own in zip(views, new, strict=True)]),
        confidence=np.concatenate([view.confidence[own] for view, own in zip(views, new, strict=True)]),
    )
    keep = _agreed(views, points.xyz)
    points = FusedPoints(xyz=points.xyz[keep], colours=points.colours[keep], confidence=points.confidence[keep])
    return _thin(points, side=_CUBE * _pixel_size(views), max_points=max_points) if keep.any() else points


def fuse_surfaces(reconstruction: Reconstruction, frames: Int[ndarray, "T"], *, max_views: int = 48) -> FusedSurfaces:
    """The same surfaces as triangles: neighbouring pixels of a frame, where it shows what none before it has shown.

    Parts from different frames overlap by some pixels and are not sewn together.
    """
    views = _open_views(reconstruction, frames, max_views)
    new = _find_new(views)
    faces, start = [], 0
    for view, own in zip(views, new, strict=True):
        triangles = _list_triangles(view)
        shown = np.zeros(view.scene.shape, bool)
        shown[view.scene] = own
        wider = binary_dilation(shown, iterations=_OVERLAP)[view.scene]
        faces.append(triangles[wider[triangles].any(axis=1)] + start)
        start += len(view.xyz)
    xyz = np.concatenate([view.xyz for view in views])
    listed = np.concatenate(faces)
    listed = _drop_islands(listed[_agreed(views, xyz)[listed].all(axis=1)], len(xyz))
    used, numbered = np.unique(listed, return_inverse=True)
    colours = np.concatenate([view.colours for view in views])
    return FusedSurfaces(xyz=xyz[used], colours=colours[used], faces=numbered.reshape(-1, 3))


def far_limit(reconstruction: Reconstruction, frames: Int[ndarray, "T"]) -> float:
    """Depth in metres beyond which points of a shot are left out: 30 m or 5 × the median, whichever is larger."""
    sample = sample_depth(pick_frames(reconstruction.depth, frames.tolist()))
    known = sample[sample > 0]
    return max(_FAR_M, _FAR_MEDIANS * float(np.median(known))) if len(known) else _FAR_M


def _open_views(
    reconstruction: Reconstruction, frames: Int[ndarray, "T"], most: int, margin_px: int = 0
) -> list[_View]:
    """At most so many of the frames, evenly spread."""
    some = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(int))]
    far = far_limit(reconstruction, frames)
    return [_open_view(reconstruction, int(frame), far, margin_px) for frame in some]


def _find_new(views: list[_View]) -> list[Bool[ndarray, "_"]]:
    """Which points of each view show a surface that no view before it has shown."""
    found, xyz = [np.ones(len(views[0].xyz), bool)], views[0].xyz
    for view in views[1:]:
        found.append(~_shown_before(view, xyz)[view.scene])
        xyz = np.concatenate([xyz, view.xyz[found[-1]]])
    return found


def _list_triangles(view: _View) -> Int[ndarray, "F 3"]:
    """Points of a view that are neighbours in the picture and lie on one surface, two triangles for four of them."""
    index = np.full(view.scene.shape, -1)
    index[view.scene] = np.arange(len(view.xyz))
    above, below = index[:-1], index[1:]
    corners = np.stack([above[:, :-1], below[:, :-1], above[:, 1:], below[:, 1:]], axis=-1).reshape(-1, 4)
    triangles = corners[:, [[0, 1, 2], [2, 1, 3]]].reshape(-1, 3)
    triangles = triangles[(triangles >= 0).all(axis=1)]
    depth = view.z[view.scene][triangles]
    return triangles[depth.max(axis=1) <= (1 + _STEP) * depth.min(axis=1)]


def _drop_islands(faces: Int[ndarray, "F 3"], num_vertices: int) -> Int[ndarray, "G 3"]:
    """The triangles without small groups that hang together with nothing else."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(sides), bool), (sides[:, 0], sides[:, 1])), shape=(num_vertices, num_vertices))
    group = connected_components(graph, directed=False)[1][faces[:, 0]]
    return faces[np.bincount(group)[group] >= _LEAST_TRIANGLES] if len(faces) else faces


def _open_view(record: Reconstruction, frame: int, far: float, margin_px: int = 0) -> _View:
    height, width = record.depth.shape[1:]
    step = max(1, round((height * width / _PIXELS_PER_VIEW) ** 0.5))
    # The pixel in the middle of each block of step × step; a block that the border cuts counts if its middle is there.
    grid = (slice(step // 2, None, step), slice(step // 2, None, step))
    people = record.person_masks[frame] >= 0
    if margin_px:
        people = binary_dilation(people, np.ones((3, 3), bool), iterations=margin_px)
    keep = select_pixels(record, frame) & ~people & (record.depth[frame] <= far)
    z, scene = record.depth[frame][grid], keep[grid]
    rows, columns = (step // 2 + step * at for at in np.nonzero(scene))
    return _View(
        step=step,
        # Where depth is unsure or a person stands, it can neither agree nor disagree.
        z=np.where(scene, z, 0.0).astype(np.float32),
        scene=scene,
        w2c=np.linalg.inv(record.c2w[frame].astype(np.float64)),
        intrinsics=record.intrinsics[frame].astype(np.float64),
        xyz=lift_pixels(record, frame, rows, columns),
        colours=record.images[frame][rows, columns],
        confidence=record.point_conf[frame][rows, columns].astype(np.float32),
    )


def _shown_before(view: _View, xyz: Float32[ndarray, "N 3"]) -> Bool[ndarray, "h w"]:
    """Pixels with a point of the same surface at them or right beside them: points of a farther view lie apart."""
    _, flat, ratio = view.compare(xyz)
    shown = np.zeros(view.z.size, bool)
    shown[flat[np.abs(ratio) <= _SAME_SURFACE]] = True
    return binary_dilation(shown.reshape(view.z.shape), np.ones((3, 3), bool))


def _agreed(views: list[_View], xyz: Float32[ndarray, "N 3"]) -> Bool[ndarray, "N"]:
    """Points that at least as many views agree with as see through; a view that something nearer fills says nothing."""
    votes = np.zeros(len(xyz), np.int32)
    for view in views:
        index, _, ratio = view.compare(xyz)
        votes[index] += np.where(ratio < -_SAME_SURFACE, -1, np.abs(ratio) <= _SAME_SURFACE).astype(np.int32)
    return votes >= 0


def _pixel_size(views: list[_View]) -> float:
    """Distance in metres of neighbouring pixels of a view at the median depth."""
    known = np.concatenate([view.z[view.scene] for view in views])
    focal = float(np.median([view.intrinsics[0, 0] for view in views]))
    return views[0].step * float(np.median(known)) / focal


def _thin(points: FusedPoints, *, side: float, max_points: int) -> FusedPoints:
    """The mean of every cube that holds points; cubes grow by a quarter until they are few enough."""
    xyz = points.xyz
    while True:
        cells = np.floor((xyz - xyz.min(axis=0)).astype(np.float64) / side).astype(np.int64)
        cube = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
        _, member, count = np.unique(cube, return_inverse=True, return_counts=True)
        if len(count) <= max_points:
            break
        side *= 1.25
    means = [
        np.stack([np.bincount(member, values[:, axis].astype(np.float64)) for axis in range(values.shape[1])], axis=1)
        / count[:, None]
        for values in (xyz, points.colours, points.confidence[:, None])
    ]
    return FusedPoints(
        xyz=means[0].astype(np.float32),
        colours=means[1].round().astype(np.uint8),
        confidence=means[2][:, 0].astype(np.float32),
    )
