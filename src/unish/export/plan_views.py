"""Panels that an overlay cannot fool: a shot from above and from the side, drawn to scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_closing, binary_erosion

from unish.export.axes import upright
from unish.export.fusion import far_limit, fuse_scene
from unish.export.points import lift_pixels, select_pixels
from unish.render.colours import person_colour
from unish.structs import Reconstruction

_BACKGROUND_POINTS, _BACKGROUND_VIEWS = 60_000, 12
_POINTS_PER_FRAME = 12_000
_MARGIN_M, _MARGIN_SHARE = 1.5, 0.35
"""Room around cameras and bodies: the larger of metres and a share of their extent."""
_FAR_PEOPLE = 2.5
"""People farther away than this many times the median are out of view, lest all others be specks."""
_HEADROOM_M = 0.3
"""Points higher than the highest joint by more than this are a ceiling, which would hide all in the view from above."""
_GRID_STEPS_M = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_GRID_PX = 60
_DIMMED, _GROUND, _GRID_COLOUR = 0.45, 14, (52, 52, 52)
_FLOOR_COLOUR, _CAMERA_COLOUR = (255, 60, 255), (255, 255, 255)
_FILL_OPACITY = 0.4


@dataclass(frozen=True, kw_only=True)
class PlacedBody:
    """A body to draw: (V, 3) vertices in the shot's world, whose it is, and how strongly it shows (0..1)."""

    vertices: Float[ndarray, "V 3"]
    person_id: int
    strength: float


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Orthographic: picture right and up as rows over the shot's world, the point in the middle, and the scale."""

    axes: Float64[ndarray, "2 3"]
    centre: Float64[ndarray, "2"]
    px_per_m: float
    size: tuple[int, int]

    def pixels(self, world: Float[ndarray, "*n 3"]) -> Float64[ndarray, "*n 2"]:
        """(x, y) in pixels."""
        metres = world @ self.axes.T - self.centre
        height, width = self.size
        return metres * np.array([self.px_per_m, -self.px_per_m]) + np.array([width / 2, height / 2])

    def inside(self, world: Float[ndarray, "N 3"]) -> tuple[Int[ndarray, "K"], Int[ndarray, "K"], Bool[ndarray, "N"]]:
        """Row and column of the points that fall into the picture, and which these are."""
        pixels = np.floor(self.pixels(world))
        height, width = self.size
        keep = (pixels >= 0).all(axis=-1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
        columns, rows = pixels[keep].astype(np.int64).T
        return rows, columns, keep


class PlanViews:
    """The two panels of one shot; the scale and what stands still are the same in all of its frames.

    Seen from above the first camera looks up the picture; from the side it looks to the right, and up is against
    gravity where that is known.

    Args:
        frames: indices of the used frames of the shot.
        size: (height, width) of each panel in pixels.
    """

    def __init__(
        self, reconstruction: Reconstruction, shot: int, frames: Int[ndarray, "T"], size: tuple[int, int]
    ) -> None:
        self._record, self._size = reconstruction, size
        right, up, backward = upright(reconstruction.gravity[shot])
        self._knows_gravity = bool(np.isfinite(reconstruction.gravity[shot]).all())
        self._centres = reconstruction.c2w[frames, :3, 3].astype(np.float64)
        self._first = int(frames[0])
        self._far = far_limit(reconstruction, frames)
        scene = fuse_scene(reconstruction, frames, max_points=_BACKGROUND_POINTS, max_views=_BACKGROUND_VIEWS)
        joints = reconstruction.joints[:, frames].reshape(-1, 3).astype(np.float64)
        joints = joints[np.isfinite(joints).all(axis=-1)]
        others = scene.xyz.astype(np.float64)
        if len(joints):
            distance = np.linalg.norm(joints - np.median(self._centres, axis=0), axis=1)
            others = joints[distance <= _FAR_PEOPLE * np.median(distance)]
        directions = (np.stack([right, -backward]), np.stack([-backward, up]))
        self._views = [_fit(self._centres, others, axes, size) for axes in directions]
        low_enough = (
            scene.xyz @ up <= (joints @ up).max() + _HEADROOM_M if len(joints) else np.ones(len(scene.xyz), bool)
        )
        self._backgrounds = []
        for view, towards_eye, shown in zip(self._views, (up, right), (low_enough, True), strict=True):
            chosen = np.flatnonzero(np.broadcast_to(shown, len(scene.xyz)))
            order = chosen[np.argsort(scene.xyz[chosen] @ towards_eye, kind="stable")]  # the nearest is drawn last
            self._backgrounds.append(self._draw_background(view, scene.xyz[order], scene.colours[order]))
        middle = np.median(joints if len(joints) else self._centres, axis=0)
        self._floor = _floor_line(reconstruction.floor[shot], self._views[1], middle)

    def draw(self, frame: int, bodies: list[PlacedBody]) -> list[UInt8[ndarray, "h w 3"]]:
        """The panels from above and from the side of one frame."""
        record = self._record
        height, width = record.depth.shape[1:]
        stride = max(1, round((height * width / _POINTS_PER_FRAME) ** 0.5))
        rows, columns = stride * np.stack(np.nonzero(select_pixels(record, frame, stride=stride)))
        near_enough = record.depth[frame][rows, columns] <= self._far
        rows, columns = rows[near_enough], columns[near_enough]
        points, colours = lift_pixels(record, frame, rows, columns), record.images[frame][rows, columns]
        panels = []
        for number, (view, background) in enumerate(zip(self._views, self._backgrounds, strict=True)):
            panel = background.copy()
            at, across, inside = view.inside(points)
            _dot(panel, at, across, colours[inside])
            for body in bodies:
                _draw_silhouette(panel, view, body)
            picture = Image.fromarray(panel)
            draw = ImageDraw.Draw(picture)
            if number == 1 and self._floor is not None:
                draw.line(self._floor, fill=_FLOOR_COLOUR, width=1)
            self._draw_camera(draw, view, frame)
            for body in bodies:
                place = view.pixels(body.vertices).max(axis=0)
                draw.text((place[0] + 2, place[1] - 14), str(body.person_id), fill="white", font=_FONT)
            draw.text((6, 4), ("from above", self._side_label())[number], fill="white", font=_FONT)
            panels.append(np.array(picture))
        return panels

    def map_from_above(self) -> tuple[UInt8[ndarray, "h w 3"], Projection]:
        """What stands still, seen from above, over the grid; and where the points of the shot's world lie in it."""
        return self._backgrounds[0], self._views[0]

    def _side_label(self) -> str:
        known = "" if self._knows_gravity else ", gravity unknown"
        return f"from the side{known}{'' if self._floor is not None else ', no floor'}"

    def _draw_background(
        self, view: Projection, xyz: Float32[ndarray, "N 3"], colours: UInt8[ndarray, "N 3"]
    ) -> UInt8[ndarray, "h w 3"]:
        """Grid lines through the first camera at whole steps, and what stands still, dimmed."""
        canvas = Image.new("RGB", self._size[::-1], (_GROUND,) * 3)
        draw = ImageDraw.Draw(canvas)
        wide = _GRID_PX / view.px_per_m
        # A scene that is lost in space gets powers of ten: its grid must not be a million lines.
        step = next((step for step in _GRID_STEPS_M if step >= wide), 10.0 ** np.ceil(np.log10(wide)))
        height, width = self._size
        origin = view.pixels(self._centres[:1])[0]
        for axis, length in ((0, width), (1, height)):
            first = origin[axis] % (step * view.px_per_m)
            for at in np.arange(first, length, step * view.px_per_m):
                line = (at, 0, at, height) if axis == 0 else (0, at, width, at)
                draw.line(line, fill=_GRID_COLOUR, width=1)
        picture = np.array(canvas)
        rows, columns, inside = view.inside(xyz)
        _dot(picture, rows, columns, (colours[inside] * _DIMMED).astype(np.uint8))
        canvas = Image.fromarray(picture)
        ImageDraw.Draw(canvas).text((6, height - 20), f"grid {step:g} m", fill="white", font=_FONT)
        return np.array(canvas)

    def _draw_camera(self, draw: ImageDraw.ImageDraw, view: Projection, frame: int) -> None:
        """The way up to this frame, and how far the picture reaches to each side (above) or up and down (side)."""
        way = view.pixels(self._centres[: frame - self._first + 1])
        draw.line(way.ravel().tolist(), fill=_CAMERA_COLOUR, width=1)
        record = self._record
        height, width = record.image_size.tolist()
        middles = [(0, height / 2), (width, height / 2), (width / 2, 0), (width / 2, height)]
        rays = np.linalg.inv(record.intrinsics[frame].astype(np.float64)) @ np.array([(*p, 1.0) for p in middles]).T
        length_m = 24 / view.px_per_m
        ends = record.c2w[frame, :3, :3].astype(np.float64) @ (rays * length_m)
        ends_px = view.pixels(record.c2w[frame, :3, 3] + ends.T)
        # The two middles that lie farther apart in this view bound the picture in it.
        pair = (
            ends_px[:2]
            if np.linalg.norm(ends_px[1] - ends_px[0]) > np.linalg.norm(ends_px[3] - ends_px[2])
            else ends_px[2:]
        )
        draw.polygon([tuple(way[-1]), *map(tuple, pair)], outline=_CAMERA_COLOUR)


def _fit(
    cameras: Float64[ndarray, "T 3"],
    others: Float64[ndarray, "N 3"],
    axes: Float64[ndarray, "2 3"],
    size: tuple[int, int],
) -> Projection:
    """The largest scale that shows the cameras, the others (without their outermost fiftieth) and some room around."""
    flat = cameras @ axes.T
    if len(others):
        flat = np.concatenate([flat, np.quantile(others @ axes.T, (0.02, 0.98), axis=0)])
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = high - low
    extent = extent + 2 * max(_MARGIN_M, _MARGIN_SHARE * float(extent.max()))
    scale = float(min(size[1] / extent[0], size[0] / extent[1]))
    return Projection(axes=axes, centre=(low + high) / 2, px_per_m=scale, size=size)


def _dot(panel: UInt8[ndarray, "h w 3"], rows: Int[ndarray, "N"], columns: Int[ndarray, "N"], colours: ndarray) -> None:
    """Two by two pixels each, as far as they are in the picture; later ones cover earlier ones."""
    height, width = panel.shape[:2]
    for down, right in ((1, 1), (1, 0), (0, 1), (0, 0)):
        panel[np.minimum(rows + down, height - 1), np.minimum(columns + right, width - 1)] = colours


def _floor_line(
    floor: Float[ndarray, "4"], side: Projection, middle: Float64[ndarray, "3"]
) -> tuple[float, float, float, float] | None:
    """Where the floor cuts the upright plane through the people, from one edge of the side view to the other."""
    plane = floor.astype(np.float64)
    ahead, up = side.axes
    if not np.isfinite(plane).all() or abs(plane[:3] @ up) < 0.1:
        return None
    half_width = side.size[1] / 2 / side.px_per_m
    ends = []
    for metres in (side.centre[0] - half_width, side.centre[0] + half_width):
        start = middle + (metres - middle @ ahead) * ahead
        ends.append(start - up * (plane[:3] @ start + plane[3]) / (plane[:3] @ up))
    (x1, y1), (x2, y2) = side.pixels(np.stack(ends)).tolist()
    return x1, y1, x2, y2


def _draw_silhouette(panel: UInt8[ndarray, "h w 3"], view: Projection, body: PlacedBody) -> None:
    """The person's colour over what the body covers, stronger along its edge."""
    rows, columns, _ = view.inside(body.vertices)
    if not len(rows):
        return
    margin = 3
    top, left = max(0, int(rows.min()) - margin), max(0, int(columns.min()) - margin)
    region = panel[top : int(rows.max()) + margin + 1, left : int(columns.max()) + margin + 1]
    covered = np.zeros(region.shape[:2], bool)
    covered[rows - top, columns - left] = True
    covered = binary_closing(covered, np.ones((3, 3), bool), iterations=2) | covered
    edge = covered & ~binary_erosion(covered)
    opacity = body.strength * np.where(edge, 1.0, _FILL_OPACITY * covered)[..., None]
    region[:] = (region * (1 - opacity) + person_colour(body.person_id) * opacity).round().astype(np.uint8)


_FONT = ImageFont.load_default(size=14)
