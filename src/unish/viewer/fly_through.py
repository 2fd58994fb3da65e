"""A film of a camera that flies through a result, drawn on the processor; it needs neither viser nor a browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8
from numpy import ndarray
from scipy.spatial import cKDTree

from unish.body import Body
from unish.errors import InputError
from unish.export.preview import add_stream, open_film
from unish.io import written_beside
from unish.structs import Reconstruction
from unish.structs.progress import Progress
from unish.viewer.film_camera import fill_window, fit_window
from unish.viewer.flight import FOLLOW, ORBIT, Flight, View
from unish.viewer.path_lines import path_lines
from unish.viewer.record import SceneRecord, ShotRecord, build_record, small_picture
from unish.viewer.splatting import Solid, Splats, draw_view, join_splats

FPS = 24
_LONG_SIDE = 960
_LEAST_S, _LONGEST_GAP_S = 8.0, 3.0
"""A shorter video plays again and again while the camera goes on; no gap between frames is shown longer than this."""
_MAX_POINTS = 300_000
_NEIGHBOUR, _COVER, _WIDEST = 4, 1.3, 2.0
"""A point's square is as wide as its fourth neighbour is far, and a little more; wider ones than so many medians at
its distance from the camera are made by stray points."""
_FADE_SHARE = 0.08
"""Share of the flight in which the picture of the film goes over into the scene."""
_CAMERA_SHARE, _EDGE_POINTS, _LINE_M, _LINE_STEP_M = 0.06, 80, 0.015, 0.01
_WHITE = np.array([235, 235, 235], np.uint8)


def write_fly_through(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    *,
    kind: str,
    person_id: int | None = None,
    report: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write an H.264 mp4, 24 frames a second, 960 pixels long: scene, people, their trails, the camera of the film.

    The video goes on at its own speed meanwhile; what lasts less than 8 seconds is repeated. Every shot has a flight of
    its own. Between frames, bodies and the camera of the film are put on the way from one to the next.

    Args:
        path: the final name; the file appears there whole or not at all.
        reconstruction: as it is to be shown, with blurred faces where these are wanted.
        kind: one of ``unish.viewer.flight.FLIGHTS``.
        person_id: whom ``follow`` follows; ``None`` means who is seen longest.
        progress: told after every frame.

    Raises:
        InputError: nobody has this id, or there is nobody to follow.
    """
    record = build_record(reconstruction, body, title=path.stem, report=report, max_points=_MAX_POINTS)
    person = _find_person(record, kind, person_id)
    height, width = record.image_size
    zoom = _LONG_SIDE / max(height, width)
    size = (2 * round(height * zoom / 2), 2 * round(width * zoom / 2))  # 4:2:0 video has colour for every second pixel
    plans = [_plan_steps(record, shot) for shot in range(len(record.shots))]
    total, done = sum(map(len, plans)), 0
    with written_beside(path) as beside, open_film(beside) as container:
        stream = add_stream(container, size, FPS)
        for shot, steps in enumerate(plans):
            flight = Flight(
                record, shot, kind, person=person, aspect=size[1] / size[0], seconds=len(steps) / FPS
            )  # fmt: skip
            for picture in _draw_shot(record, shot, flight, steps, size):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(done * 1000 / FPS), Fraction(1, 1000)
                container.mux(stream.encode(frame))
                done += 1
                if progress is not None:
                    progress("fly-through", done, total)
        container.mux(stream.encode(None))


def _find_person(record: SceneRecord, kind: str, person_id: int | None) -> int | None:
    ids = [person.person_id for person in record.people]
    if person_id is not None:
        if person_id not in ids:
            raise InputError(f"nobody has the id {person_id}; there are {', '.join(map(str, ids)) or 'no people'}")
        return ids.index(person_id)
    if kind == FOLLOW and not ids:
        raise InputError(f"nobody was found whom the camera could follow; try --flight {ORBIT}")
    return int(np.argmax([person.shown.sum() for person in record.people])) if ids else None


def _plan_steps(record: SceneRecord, shot: int) -> Float[ndarray, "K"]:
    """Which step, not a whole one, each frame of the film shows of a shot."""
    steps = record.shots[shot].steps
    last = 1 / record.fps  # how long the last frame is shown
    gaps = np.minimum(np.diff(record.times_s[steps]), _LONGEST_GAP_S)
    starts = np.concatenate([[0.0], np.cumsum(gaps)])
    seconds = float(starts[-1]) + last
    share = _LEAST_S * (steps.stop - steps.start) / record.num_steps
    repeats = max(1, np.ceil(share / seconds - 1e-6))
    times = np.arange(max(1, round(repeats * seconds * FPS))) / FPS % seconds
    return steps.start + np.interp(times, starts, np.arange(len(starts)))


def _draw_shot(
    record: SceneRecord, number: int, flight: Flight, steps: Float[ndarray, "K"], size: tuple[int, int]
) -> Iterator[UInt8[ndarray, "H W 3"]]:
    shot = record.shots[number]
    standing = join_splats([_scene(shot), *_trails(record, shot)])
    for index, step in enumerate(steps.tolist()):
        share = index / max(1, len(steps) - 1)
        view = flight.view(share, step)
        if share < _FADE_SHARE and view.from_film > 0:
            step = _with_picture(record, step)
            view = flight.view(share, step)
        solids = [
            Solid(vertices=person.posed_vertices(_shown_step(person.shown, step)), faces=person.faces.astype(np.int64),
                  colour=person.colour)
            for person in record.people
            if person.shown[int(step)]
        ]  # fmt: skip
        moving = [] if view.from_film > 0.5 else [_film_camera(record, int(step))]  # it would cover what it sees
        drawn = draw_view(join_splats([standing, *moving]), solids, view.c2w, view.intrinsics(size), size)
        yield _fade(drawn, record, view, int(step), share, size)


def _with_picture(record: SceneRecord, step: float) -> float:
    """A step that has a picture of its own: this one, or the one before it whose picture would be shown at this one."""
    own = record.step_of_picture(int(step))
    return step if own == int(step) else float(own)


def _shown_step(shown: ndarray, step: float) -> float:
    """Whole where a body has no next pose to go to."""
    return step if int(step) + 1 < len(shown) and shown[int(step) + 1] else float(int(step))


def _fade(
    drawn: UInt8[ndarray, "H W 3"], record: SceneRecord, view: View, step: int, share: float, size: tuple[int, int]
) -> UInt8[ndarray, "H W 3"]:
    """The picture of the film goes over into the scene while the camera has not left it."""
    strength = (1 - share / _FADE_SHARE) * view.from_film
    if strength <= 0:
        return drawn
    _, place = fit_window(record.intrinsics[step], record.image_size, size[1] / size[0])
    film = fill_window(record.picture(step), place, size)
    return (strength * film + (1 - strength) * drawn).round().astype(np.uint8)


def _scene(shot: ShotRecord) -> Splats:
    """Scene points, each as wide as its neighbours are far."""
    xyz = shot.points.xyz + shot.centre
    neighbours = min(_NEIGHBOUR, len(xyz) - 1)
    side = np.full(len(xyz), _LINE_M, np.float32)
    if neighbours > 0:
        apart = cKDTree(xyz).query(xyz, k=[neighbours + 1])[0][:, 0]
        distance = np.maximum(shot.distance, 1e-3)
        side = (_COVER * np.minimum(apart, _WIDEST * np.median(apart / distance) * distance)).astype(np.float32)
    return Splats(xyz=xyz.astype(np.float32), colours=shot.points.colours, side_m=side)


def _trails(record: SceneRecord, shot: ShotRecord) -> list[Splats]:
    """The ways of people and of the camera of the film."""
    ways = [(path_lines(record.c2w[shot.steps, :3, 3]), _WHITE)]
    for person in record.people:
        places = np.where(person.shown[shot.steps, None], person.joint_positions[shot.steps, 0], np.nan)
        ways.append((path_lines(places), person.colour))
    return [_line_splats(lines, colour) for lines, colour in ways]


def _line_splats(lines: Float[ndarray, "M 2 3"], colour: UInt8[ndarray, "3"]) -> Splats:
    """Points along lines."""
    lengths = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=-1)
    counts: Int64[ndarray, "M"] = np.ceil(lengths / _LINE_STEP_M).astype(np.int64) + 1
    share = np.concatenate([np.zeros(0), *(np.linspace(0, 1, count) for count in counts)])
    start, end = (lines[:, at].repeat(counts, axis=0) for at in (0, 1))
    xyz = (start + share[:, None] * (end - start)).astype(np.float32)
    return Splats(xyz=xyz, colours=np.tile(colour, (len(xyz), 1)), side_m=np.full(len(xyz), _LINE_M, np.float32))


def _film_camera(record: SceneRecord, step: int) -> Splats:
    """The camera of the film as a pyramid, with its picture in the base, where it was when it took that."""
    step = record.step_of_picture(step)
    shot = record.shots[int(record.shot_of_step[step])]
    reach = float(np.median(shot.distance)) if len(shot.distance) else 3.0
    depth = _CAMERA_SHARE * reach
    height, width = record.image_size
    inverse = np.linalg.inv(record.intrinsics[step])
    pose = record.c2w[step]

    def place(pixels: Float[ndarray, "N 2"]) -> Float32[ndarray, "N 3"]:
        rays = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ inverse.T * depth
        return (rays @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)

    picture = small_picture(record, step)
    rows, columns = np.indices(picture.shape[:2]).reshape(2, -1)
    pixels = (np.stack([columns, rows], axis=1) + 0.5) * np.array([width, height]) / picture.shape[1::-1]
    base = place(pixels)
    step_m = depth * width / record.intrinsics[step][0, 0] / picture.shape[1]
    corners = place(np.array([[0, 0], [width, 0], [width, height], [0, height]], float))
    tip = np.tile(pose[:3, 3].astype(np.float32), (4, 1))
    edges = np.concatenate([np.stack([tip, corners], axis=1), np.stack([corners, np.roll(corners, 1, axis=0)], axis=1)])
    share = np.linspace(0, 1, _EDGE_POINTS, dtype=np.float32)[None, :, None]
    frame = (edges[:, :1] * (1 - share) + edges[:, 1:] * share).reshape(-1, 3)
    return Splats(
        xyz=np.concatenate([base, frame]),
        colours=np.concatenate([picture.reshape(-1, 3), np.tile(_WHITE, (len(frame), 1))]),
        side_m=np.concatenate([np.full(len(base), 1.5 * step_m), np.full(len(frame), 0.04 * depth)]).astype(np.float32),
    )
