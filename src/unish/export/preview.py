"""``preview.mp4``: every used frame beside its depth with the bodies drawn over both, and the shot from above and the
side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from jaxtyping import Bool, Float, Float32, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from unish.body import Body
from unish.export.plan_views import PlacedBody, PlanViews
from unish.io import written_beside
from unish.render.colours import depth_colours, depth_range, person_colour
from unish.render.plain import interpolate, rasterize
from unish.render.scene import SmoothNormals
from unish.structs import Reconstruction
from unish.structs.progress import Progress

_PANEL_SIDE = 640
"""Long side, in pixels, that smaller processed frames are enlarged to, so that text and edges stay legible."""
_BAR_HEIGHT = 36
_TICKS_M = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000)
_BODY_OPACITY, _OUTLINE_OPACITY = 0.3, 0.95
"""Of a body that was seen: the picture below stays to be judged, the outline says where the body ends."""
_FILLED_STRENGTH = 0.45
"""What the opacities of a body that was filled in are multiplied with."""
_CLOSE_M = 0.05
_MILLISECONDS = Fraction(1, 1000)
_LONGEST_HOLD_S = 3.0
"""A picture is shown no longer than this, also where the next one comes much later."""

Region = tuple[slice, slice]


def write_preview(
    path: Path, reconstruction: Reconstruction, body: Body, *, fps: float, progress: Progress | None = None
) -> None:
    """Write an H.264 mp4 that plays the used frames at their own times, its index in front so that it can be streamed.

    A gap in the times is shortened to three seconds.

    Four panels: the frame, its depth, both with the bodies over them; the shot from above and from the side, to scale.

    Args:
        path: the final name; the file appears there whole or not at all.
        reconstruction: any number of people, also none, and of frames, also one.
        body: the model that poses the parameters of ``reconstruction``.
        fps: nominal frame rate, which decides how long the last frame is shown.
        progress: told after every frame.
    """
    painter = _Painter(reconstruction, body)
    with written_beside(path) as beside, open_film(beside) as container:
        stream = add_stream(container, painter.size, fps)
        shown_s = np.minimum(
            np.diff(reconstruction.timestamps_s, prepend=reconstruction.timestamps_s[0]), _LONGEST_HOLD_S
        )
        starts = (shown_s.cumsum() / float(_MILLISECONDS)).round()
        for frame in range(reconstruction.num_frames):
            picture = av.VideoFrame.from_ndarray(painter.paint(frame), format="rgb24")
            picture.pts = int(starts[frame])
            picture.duration = round(1000 / fps)
            container.mux(stream.encode(picture))
            if progress is not None:
                progress("preview", frame + 1, reconstruction.num_frames)
        container.mux(stream.encode(None))


def open_film(path: Path) -> OutputContainer:
    """An mp4 to write to, its index in front so that it can be streamed."""
    # "file:" keeps FFmpeg from taking a part of the name for a protocol.
    return av.open(f"file:{path.absolute()}", "w", format="mp4", container_options={"movflags": "faststart"})


def paint_frame(reconstruction: Reconstruction, body: Body, frame: int) -> UInt8[ndarray, "h w 3"]:
    """One frame of the preview as a picture."""
    return _Painter(reconstruction, body).paint(frame)


def paint_overlays(
    reconstruction: Reconstruction, body: Body, frames: Iterable[int]
) -> Iterator[UInt8[ndarray, "h w 3"]]:
    """Frames with the bodies and boxes of their people over them, one after the other: the first panel alone."""
    painter = _Painter(reconstruction, body)
    for frame in frames:
        yield painter.paint_overlay(frame)


class _Painter:
    """What stays the same over all frames: sizes, colour scale, faces."""

    def __init__(self, reconstruction: Reconstruction, body: Body) -> None:
        self.reconstruction, self.body = reconstruction, body
        height, width = reconstruction.images.shape[1:3]
        zoom = max(1.0, _PANEL_SIDE / max(height, width))
        # Even sizes: 4:2:0 video stores colour for every second pixel.
        self.panel = (2 * round(height * zoom / 2), 2 * round(width * zoom / 2))
        # Upright panels stand in one row, wide ones two by two.
        in_a_row = height > width
        self.size = (self.panel[0] * (1 if in_a_row else 2) + _BAR_HEIGHT, self.panel[1] * (4 if in_a_row else 2))
        second = (2 * self.panel[1], 0) if in_a_row else (0, self.panel[0] + _BAR_HEIGHT)
        self.corners = [(0, 0), (self.panel[1], 0), second, (second[0] + self.panel[1], second[1])]
        self._shot_of_frame = reconstruction.shot_of_frame()
        self._shot = -1
        self._plan: PlanViews | None = None
        self.range = depth_range(reconstruction.depth)
        self.zoom = np.array([self.panel[1] / width, self.panel[0] / height])
        self.faces = reconstruction.faces.astype(np.int64)
        self._normals = SmoothNormals(reconstruction.faces, body.num_vertices)
        self.background = Image.new("RGB", self.size[::-1], (16, 16, 16))
        self._draw_scale(self.background)

    def paint(self, frame: int) -> UInt8[ndarray, "h w 3"]:
        depth = depth_colours(self.reconstruction.depth[frame], *self.range)
        bodies = self._pose_bodies(frame)
        canvas = self.background.copy()
        panels = [self._source_panel(frame), _resize(depth, self.panel, Image.Resampling.NEAREST)]
        for picture, corner in zip(self._draw_people(panels, frame, bodies), self.corners, strict=False):
            canvas.paste(picture, corner)
        for view, corner in zip(self._plan_of(frame).draw(frame, bodies), self.corners[2:], strict=True):
            canvas.paste(Image.fromarray(view), corner)
        clock = f"{self.reconstruction.timestamps_s[frame]:.2f} s   frame {self.reconstruction.frame_indices[frame]}"
        ImageDraw.Draw(canvas).text((8, self.panel[0] + 10), clock, fill="white", font=_FONT)
        return np.asarray(canvas)

    def paint_overlay(self, frame: int) -> UInt8[ndarray, "h w 3"]:
        return np.asarray(self._draw_people([self._source_panel(frame)], frame, self._pose_bodies(frame))[0])

    def _source_panel(self, frame: int) -> UInt8[ndarray, "h w 3"]:
        return _resize(self.reconstruction.images[frame], self.panel, Image.Resampling.BICUBIC)

    def _draw_people(
        self, panels: list[UInt8[ndarray, "h w 3"]], frame: int, bodies: list[PlacedBody]
    ) -> list[Image.Image]:
        """Bodies, which are rendered once, and boxes over each panel."""
        for region, opacity, shade in self._draw_bodies(frame, bodies):
            for panel in panels:
                panel[region] = _blend(panel[region], shade, opacity)
        pictures = [Image.fromarray(panel) for panel in panels]
        for picture in pictures:
            self._draw_boxes(ImageDraw.Draw(picture), frame)
        return pictures

    def _plan_of(self, frame: int) -> PlanViews:
        """The views of the frame's shot; those of one shot are kept, for frames come in order."""
        shot = int(self._shot_of_frame[frame])
        if self._plan is None or shot != self._shot:
            frames = np.arange(self.reconstruction.num_frames)[self.reconstruction.shot_frames()[shot]]
            self._shot, self._plan = shot, PlanViews(self.reconstruction, shot, frames, self.panel)
        return self._plan

    def _pose_bodies(self, frame: int) -> list[PlacedBody]:
        record = self.reconstruction
        shown = np.flatnonzero(record.person_valid[:, frame] | record.person_filled[:, frame])
        if not len(shown):
            return []
        world = self.body.vertices_from_axis_angle(
            record.betas[shown], record.global_orient_aa[shown, frame], record.body_pose_aa[shown, frame],
            record.transl[shown, frame],
        )  # fmt: skip
        return [
            PlacedBody(
                vertices=vertices,
                person_id=int(record.person_ids[person]),
                strength=1.0 if record.person_valid[person, frame] else _FILLED_STRENGTH,
            )
            for person, vertices in zip(shown, world, strict=True)
        ]

    def _draw_bodies(
        self, frame: int, bodies: list[PlacedBody]
    ) -> list[tuple[Region, Float32[ndarray, "h w"], Float32[ndarray, "h w 3"]]]:
        """(region, opacity, colour) of every body in panel pixels, far ones first so that near ones cover them."""
        record = self.reconstruction
        w2c = np.linalg.inv(record.c2w[frame].astype(np.float64))
        intrinsics = record.intrinsics[frame].astype(np.float64) * np.array([*self.zoom, 1.0])[:, None]
        placed = [(body, body.vertices @ w2c[:3, :3].T + w2c[:3, 3]) for body in bodies]
        layers = []
        for body, camera in sorted(placed, key=lambda item: -item[1][:, 2].mean()):
            region = _region_of(camera, intrinsics, self.panel)
            size = (region[0].stop - region[0].start, region[1].stop - region[1].start)
            if min(size) == 0:
                continue
            shifted = intrinsics.copy()
            shifted[:2, 2] -= region[1].start, region[0].start
            faces = self.faces[_facing(camera, self.faces)]
            fragments = rasterize(camera, faces, shifted, size)
            covered = fragments.face >= 0
            edge = _outline(covered)
            opacity = np.where(edge, _OUTLINE_OPACITY, _BODY_OPACITY * covered) * body.strength
            lit = interpolate(fragments, faces, _light(self._normals(camera.astype(np.float32))))
            shade = np.where(edge[..., None], 1.0, lit) * person_colour(body.person_id)
            layers.append((region, opacity.astype(np.float32), shade.astype(np.float32)))
        return layers

    def _draw_boxes(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        record = self.reconstruction
        for person in np.flatnonzero(record.person_valid[:, frame]):
            box = record.boxes_xyxy[person, frame]
            if not np.isfinite(box).all():
                continue
            left, top, right, bottom = (box * np.tile(self.zoom, 2)).tolist()
            person_id = int(record.person_ids[person])
            colour = tuple(person_colour(person_id).tolist())
            draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=2)
            place = (max(0.0, left) + 3, max(0.0, top) + 2)
            draw.text(place, str(person_id), fill="white", font=_FONT, stroke_width=2, stroke_fill=colour)

    def _draw_scale(self, canvas: Image.Image) -> None:
        """Under the depth, its colours with metres written on them."""
        draw = ImageDraw.Draw(canvas)
        (height, width), (near, far) = self.panel, self.range
        span = width - 16
        scale = near * (far / near) ** np.linspace(0, 1, span)
        bar = np.broadcast_to(depth_colours(scale, near, far), (10, span, 3))
        canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (width + 8, height + 4))
        free_from = 0.0
        for metres in _TICKS_M:
            x = width + 8 + span * np.log(metres / near) / np.log(far / near)
            label = f"{metres:g} m"
            half = draw.textlength(label, font=_FONT) / 2
            if x - half < max(free_from, width + 2) or x + half > 2 * width - 2:
                continue
            draw.line((x, height + 4, x, height + 16), fill="white", width=1)
            draw.text((x - half, height + 17), label, fill="white", font=_FONT)
            free_from = x + half + 10


def add_stream(container: OutputContainer, size: tuple[int, int], fps: float) -> VideoStream:
    name = next((name for name in ("libx264", "libopenh264", "mpeg4") if name in av.codecs_available), "mpeg4")
    options = {"crf": "20", "preset": "veryfast"} if name == "libx264" else {}
    stream = container.add_stream(name, rate=Fraction(fps).limit_denominator(1000), options=options)
    assert isinstance(stream, VideoStream)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = _MILLISECONDS
    return stream


def _region_of(camera: Float[ndarray, "V 3"], intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]) -> Region:
    """Rows and columns of the picture that a body can cover; all of it when the body reaches behind the camera."""
    if camera[:, 2].min() < _CLOSE_M:
        return slice(0, size[0]), slice(0, size[1])
    projected = camera @ intrinsics.T
    pixels = projected[:, :2] / projected[:, 2:]
    low, high = np.floor(pixels.min(axis=0)).astype(int), np.ceil(pixels.max(axis=0)).astype(int) + 1
    left, top = np.clip(low, 0, size[::-1]).tolist()
    right, bottom = np.clip(high, 0, size[::-1]).tolist()
    return slice(top, bottom), slice(left, right)


def _facing(camera: Float[ndarray, "V 3"], faces: Int[ndarray, "F 3"]) -> Bool[ndarray, "F"]:
    """Faces that turn their outside to the camera: all that can be seen of a closed mesh, in half the time.

    The sum of the corners' determinants is six times the volume, whose sign says which way round the faces are listed.
    """
    first, second, third = (camera[faces[:, corner]] for corner in range(3))
    determinants = (np.cross(second - first, third - first) * first).sum(axis=-1)
    return determinants * np.sign(determinants.sum()) < 0


def _outline(covered: Bool[ndarray, "H W"]) -> Bool[ndarray, "H W"]:
    """The outermost two pixels of what a body covers; the border of the picture is no end of it."""
    return covered & ~binary_erosion(covered, iterations=2, border_value=1)


def _light(normals: Float[ndarray, "V 3"]) -> Float[ndarray, "V 1"]:
    """Share of a person's colour that is seen under a light at the camera and slightly above it; both sides are lit."""
    light = np.array([0.0, -0.3, -1.0]) / np.hypot(0.3, 1.0)
    return 0.35 + 0.65 * np.abs(normals @ light)[:, None]


def _blend(
    image: UInt8[ndarray, "H W 3"], colour: Float32[ndarray, "H W 3"], opacity: Float32[ndarray, "H W"]
) -> UInt8[ndarray, "H W 3"]:
    share = opacity[..., None]
    return (image * (1 - share) + colour * share).round().astype(np.uint8)


def _resize(image: UInt8[ndarray, "H W 3"], size: tuple[int, int], method: Image.Resampling) -> UInt8[ndarray, "h w 3"]:
    return np.array(Image.fromarray(image).resize(size[::-1], method))


_FONT = ImageFont.load_default(size=15)
