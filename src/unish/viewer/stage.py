"""A scene record in viser, with viser4d's timeline. No other module knows these libraries.

viser4d reaches into private parts of viser, and so do three places here; the extra ``view`` pins both exactly, and
``tests/e2e/test_viewer_browser.py`` fails where a new version behaves otherwise.

What must be so, and why: skinned bodies are all made at step 0 and hidden, never removed, since viser's client fails
when one goes; what moves is set at step 0, too, lest a loop begin with the end; what a user can switch off is a node
above what the timeline shows and hides, lest the two undo each other; static points count from a centre, since they
are sent in half precision.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import PARENTS
from unish.errors import InputError
from unish.viewer.film_camera import vertical_fov
from unish.viewer.people import PersonRecord
from unish.viewer.record import SceneRecord, ShotRecord, small_picture

HOST = "127.0.0.1"
_CAMERA_SHARE = 0.045
"""Depth of a drawn camera as a share of the median distance of the scene."""
_POINT_SHARE, _MIN_POINT_M = 0.0055, 0.008
_WHITE, _GREEN, _GRAVITY_COLOUR = (235, 235, 235), (60, 220, 90), (255, 90, 90)
_GRAVITY_M = 0.5
_JPEG_QUALITY = 80
STILL_GROUPS = {"scene": "scene points", "ground": "floor and gravity", "trails": "trails", "path": "camera path"}
MOVING_GROUPS = {"bodies": "bodies", "skeletons": "skeletons", "contacts": "contacts", "camera": "cameras"}
"""Nodes at the top that can be shown and hidden, and what they hold.

A name belongs either to the scene that stands or to the timeline, with all names below it.
"""
PERSON_GROUPS = ("bodies", "skeletons", "contacts", "trails")
"""Groups with a node of its own for each person, named by the identity."""
HIDDEN_GROUPS = frozenset({"skeletons"})
"""Not shown until they are asked for: bodies cover skeletons."""


@dataclass
class Stage:
    """A server and what was put on it.

    Attributes:
        server: a ``viser4d.Viser4dServer``.
        groups: the node at the top of each group.
        clouds: the scene points of each shot.
        reach: median distance of the scene's points from the cameras, metres.
        camera_scale, point_size: metres.
    """

    server: Any
    record: SceneRecord
    groups: dict[str, Any] = field(default_factory=dict)
    clouds: list[Any] = field(default_factory=list)
    reach: float = 3.0

    @property
    def camera_scale(self) -> float:
        return _CAMERA_SHARE * self.reach

    @property
    def point_size(self) -> float:
        return max(_MIN_POINT_M, _POINT_SHARE * self.reach)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server.get_port()}"

    def as_html(self) -> str:
        """The whole timeline as one page that plays by itself."""
        from viser4d import _export

        encode = _export._encode_array

        def encode_bytes_too(value: Any) -> Any:
            # Pictures of drawn cameras are bytes, which viser4d's export does not know.
            return encode(np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value)

        with _replaced(_export, "_encode_array", encode_bytes_too):
            return str(self.server.as_html(dark_mode=True))

    def stop(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()


@contextlib.contextmanager
def open_stage(record: SceneRecord, *, port: int = 0) -> Iterator[Stage]:
    """A server on this machine's loopback with the record on it; it stops when the block ends.

    Its websocket answers pages of this very server alone, and nobody can have it opened to the outside.

    Args:
        port: 0 takes a free one.

    Raises:
        InputError: viser or viser4d is missing, or the port is taken.
    """
    try:
        import viser4d
    except ImportError:
        raise InputError("the viewer needs viser and viser4d; pip install 'unish[view]'") from None
    port = _free_port(port)
    origins = [f"http://{name}:{port}" for name in (HOST, "localhost")]
    # Rich panels are printed whatever ``verbose`` says.
    with _origins_checked(origins), contextlib.redirect_stdout(io.StringIO()), _no_port_override():
        server = viser4d.Viser4dServer(
            num_steps=record.num_steps,
            fps=record.fps,
            loop=True,
            host=HOST,
            port=port,
            verbose=False,
            label=record.title,
            show_share_button=False,
        )
    server.request_share_url = lambda *args, **kwargs: None
    stage = Stage(server=server, record=record)
    try:
        _write(stage)
        yield stage
    finally:
        stage.stop()


def set_points(cloud: Any, xyz: Float32[ndarray, "N 3"], colours: UInt8[ndarray, "N 3"]) -> None:
    """Other points and colours for a cloud that stands already; without any it is hidden, for viser wants some."""
    cloud.visible = len(xyz) > 0
    if len(xyz):
        cloud.points, cloud.colors = xyz.astype(np.float16), colours


def _free_port(port: int) -> int:
    """The port, or a free one for 0. viser would silently take another, and its own pages would then be refused."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise InputError(f"port {port} is taken; give another --port, or 0 for a free one") from None
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _origins_checked(origins: list[str]) -> contextlib.AbstractContextManager[None]:
    """viser's server answers pages of any site; websockets can refuse those of others, if it is told to."""
    import websockets.asyncio.server as websocket

    return _replaced(websocket, "serve", functools.partial(websocket.serve, origins=origins))


@contextlib.contextmanager
def _no_port_override() -> Iterator[None]:
    """An environment variable of viser would take another port than the one whose pages are let in."""
    kept = os.environ.pop("_VISER_PORT_OVERRIDE", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["_VISER_PORT_OVERRIDE"] = kept


def _write(stage: Stage) -> None:
    """Put the record on the server: lights and what stands still first, then every step."""
    server, record = stage.server, stage.record
    scene = server.scene
    # Shadows and an environment map cost seconds of shader compilation, and without the hemisphere bodies are black.
    scene.configure_environment_map(hdri=None)
    scene.configure_default_lights(cast_shadow=False)
    scene.add_light_hemisphere("/light", intensity=2.0)
    scene.world_axes.visible = False
    scene.set_up_direction(record.shots[0].up)
    _place_first_camera(server, record)
    distances = np.concatenate([shot.distance for shot in record.shots])
    if len(distances):
        stage.reach = float(np.median(distances))
    alone = len(record.shots) == 1
    with server.at(0) as now:
        # Many shots take turns; what stands in the only one need not be in the timeline, which is slower.
        standing = scene if alone else now.scene
        for groups, home in ((STILL_GROUPS, standing), (MOVING_GROUPS, now.scene)):
            for group in groups:
                stage.groups[group] = home.add_frame(f"/{group}", show_axes=False, visible=group not in HIDDEN_GROUPS)
                if group in PERSON_GROUPS:
                    for person in record.people:
                        home.add_frame(f"/{group}/{person.person_id}", show_axes=False)
        still = [_add_shot(stage, shot, number, standing) for number, shot in enumerate(record.shots)]
        moving = [_add_person(now.scene, person) for person in record.people]
        camera = _add_camera(now.scene, record, stage.camera_scale)
    for step in range(record.num_steps):
        with server.at(step):
            if not alone:
                _show_shot(still, record, step)
            for person, nodes in zip(record.people, moving, strict=True):
                _move_person(nodes, person, step)
            _move_camera(camera, record, step)


def _add_shot(stage: Stage, shot: ShotRecord, number: int, scene: Any) -> list[Any]:
    """The nodes of what stands still in a shot."""
    record, visible = stage.record, number == 0
    nodes = [scene.add_frame(f"/scene/{number}", show_axes=False, visible=visible)]
    cloud = scene.add_point_cloud(
        f"/scene/{number}/points", shot.points.xyz, shot.points.colours, point_size=stage.point_size,
        point_shape="rounded", position=shot.centre,
    )  # fmt: skip
    stage.clouds.append(cloud)
    centres = record.c2w[shot.steps, :3, 3]
    if len(centres) > 1:
        nodes.append(_add_lines(scene, f"/path/{number}", _joined(centres), _WHITE, visible))
    if shot.ground is not None:
        ground = shot.ground
        nodes.append(
            scene.add_grid(
                f"/ground/{number}/floor", width=ground.side_m, height=ground.side_m, plane="xy", cell_size=0.5,
                section_size=1.0, cell_color=(95, 95, 105), section_color=(140, 140, 150), position=ground.middle,
                wxyz=_quaternions(ground.rotation), visible=visible,
            )
        )  # fmt: skip
        if shot.gravity_known:
            arrow = np.stack([ground.middle + _GRAVITY_M * shot.up, ground.middle])[None]
            nodes.append(scene.add_arrows(f"/ground/{number}/gravity", arrow, _GRAVITY_COLOUR, visible=visible))
    for person in record.people:
        way = _joined(np.where(person.shown[shot.steps, None], person.joint_positions[shot.steps, 0], np.nan))
        if len(way):
            name = f"/trails/{person.person_id}/shot {number}"
            nodes.append(_add_lines(scene, name, way, person.colour, visible))
    return nodes


def _show_shot(still: list[list[Any]], record: SceneRecord, step: int) -> None:
    for number, nodes in enumerate(still):
        for node in nodes:
            node.visible = number == record.shot_of_step[step]


def _add_person(scene: Any, person: PersonRecord) -> tuple[Any, Any, list[Any]]:
    """Body, skeleton and contacts of a person, as they are at step 0."""
    name, colour = person.person_id, tuple(person.colour.tolist())
    body = scene.add_mesh_skinned(
        f"/bodies/{name}/body", person.vertices, person.faces.astype(np.uint32),
        bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (24, 1)), bone_positions=person.rest_joints,
        skin_weights=person.weights, color=colour, visible=bool(person.shown[0]), cast_shadow=False,
        receive_shadow=False,
    )  # fmt: skip
    skeleton = _add_lines(
        scene, f"/skeletons/{name}/bones", _bones(person, 0), person.colour, bool(person.shown[0]), thickness=0.025
    )
    contacts = [
        scene.add_icosphere(
            f"/contacts/{name}/{point}", radius=0.04, color=_GREEN, position=person.contact_points[0, point],
            visible=bool(person.touching[0, point]), cast_shadow=False, receive_shadow=False,
        )
        for point in range(person.contact_points.shape[1])
    ]  # fmt: skip
    return body, skeleton, contacts


def _move_person(nodes: tuple[Any, Any, list[Any]], person: PersonRecord, step: int) -> None:
    body, skeleton, contacts = nodes
    shown = bool(person.shown[step])
    if step == 0 or shown != bool(person.shown[step - 1]):
        body.visible = skeleton.visible = shown
    if step == 0 or shown:
        for bone, wxyz, position in zip(body.bones, person.joint_wxyz[step], person.joint_positions[step], strict=True):
            bone.wxyz, bone.position = wxyz, position
        skeleton.points = _bones(person, step)
    for sphere, place, touching in zip(contacts, person.contact_points[step], person.touching[step], strict=True):
        sphere.visible = bool(touching)
        if touching:
            sphere.position = place


def _add_camera(scene: Any, record: SceneRecord, scale: float) -> Any:
    fov, aspect = vertical_fov(record.intrinsics[0], record.image_size)
    return scene.add_camera_frustum(
        "/camera/frame", fov=fov, aspect=aspect, scale=scale, thickness=0.02 * scale, color=_WHITE,
        image=small_picture(record, 0), format="jpeg", jpeg_quality=_JPEG_QUALITY, cast_shadow=False,
        receive_shadow=False,
    )  # fmt: skip


def _move_camera(camera: Any, record: SceneRecord, step: int) -> None:
    camera.wxyz = _quaternions(record.c2w[step, :3, :3])
    camera.position = record.c2w[step, :3, 3]
    camera.fov, camera.aspect = vertical_fov(record.intrinsics[step], record.image_size)
    camera.image = small_picture(record, step)


def _place_first_camera(server: Any, record: SceneRecord) -> None:
    """Behind the camera that filmed and above it, looking at the people, else at the middle of the scene."""
    shot = record.shots[0]
    people = [person.joint_positions[shot.steps, 0][person.shown[shot.steps]] for person in record.people]
    places = np.concatenate(people) if people else np.zeros((0, 3))
    target = np.median(places, axis=0) if len(places) else shot.centre.astype(np.float64)
    first = record.c2w[0]
    away = first[:3, 3] - target
    distance = float(np.linalg.norm(away))
    away = away / distance if distance > 1e-6 else -first[:3, 2]
    position = target + max(distance, 1.0) * (1.15 * away + 0.35 * shot.up + 0.6 * first[:3, 0])
    camera = server.initial_camera
    camera.position, camera.look_at, camera.up = position, target, shot.up


def _add_lines(scene: Any, name: str, lines: ndarray, colour: Any, visible: bool, *, thickness: float = 0.012) -> Any:
    return scene.add_line_segments(
        name, lines, tuple(np.asarray(colour).tolist()), thickness=thickness, visible=visible
    )


def _joined(places: Float[ndarray, "N 3"]) -> Float32[ndarray, "M 2 3"]:
    """Lines between neighbouring places that are both known."""
    lines = np.stack([places[:-1], places[1:]], axis=1).astype(np.float32)
    return lines[np.isfinite(lines).all(axis=(1, 2))]


def _bones(person: PersonRecord, step: int) -> Float32[ndarray, "23 2 3"]:
    joints = person.joint_positions[step]
    return np.stack([joints[list(PARENTS[1:])], joints[1:]], axis=1)


def _quaternions(rotation: Float[ndarray, "3 3"]) -> Float[ndarray, "4"]:
    return Rotation.from_matrix(rotation).as_quat(scalar_first=True)
