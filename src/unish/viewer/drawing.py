"""A scene record as nodes of a viewer's scene, which stand still or move with a timeline.

What must be so, and why: skinned bodies are all made before step 0 and hidden, never removed, since viser's client
fails when one goes; they stand, and the timeline moves them, since what it makes itself is sent again with every block
of steps; what moves is set at step 0, too, lest a loop begin with the end; what a user can switch off is a node above
what the timeline shows and hides, lest the two undo each other; static points count from a centre, since they are sent
in half precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import PARENTS
from unish.viewer.film_camera import vertical_fov
from unish.viewer.path_lines import path_lines
from unish.viewer.people import PersonRecord
from unish.viewer.record import SceneRecord, ShotRecord, small_picture

_CAMERA_SHARE = 0.045
"""Depth of a drawn camera as a share of the median distance of the scene."""
_POINT_SHARE, _MIN_POINT_M = 0.0055, 0.008
_WHITE, _GREEN, _GRAVITY_COLOUR = (235, 235, 235), (60, 220, 90), (255, 90, 90)
_GRAVITY_M = 0.5
_JPEG_QUALITY = 80
STILL_GROUPS = {"scene": "scene points", "ground": "floor and gravity", "trails": "trails", "path": "camera path"}
MOVING_GROUPS = {"bodies": "bodies", "skeletons": "skeletons", "contacts": "contacts", "camera": "cameras"}
"""Nodes at the top that can be shown and hidden, and what they hold.

A name belongs either to the scene that stands or to the timeline, with all names below it; those of ``bodies`` stand.
"""
PERSON_GROUPS = ("bodies", "skeletons", "contacts", "trails")
"""Groups with a node of its own for each person, named by the identity."""
HIDDEN_GROUPS = frozenset({"skeletons"})
"""Not shown until they are asked for: bodies cover skeletons."""


@dataclass
class Drawing:
    """The nodes of a record, made at step 0.

    Attributes:
        groups: the node at the top of each group.
        clouds: the scene points of each shot.
        reach: median distance of the scene's points from the cameras, metres.
        camera_scale, point_size: metres.
    """

    record: SceneRecord
    groups: dict[str, Any] = field(default_factory=dict)
    clouds: list[Any] = field(default_factory=list)
    _of_shots: list[list[Any]] = field(default_factory=list)
    _of_people: list[tuple[Any, Any, list[Any]]] = field(default_factory=list)
    _camera: Any = None

    @property
    def reach(self) -> float:
        distances = np.concatenate([shot.distance for shot in self.record.shots])
        return float(np.median(distances)) if len(distances) else 3.0

    @property
    def camera_scale(self) -> float:
        return _CAMERA_SHARE * self.reach

    @property
    def point_size(self) -> float:
        return max(_MIN_POINT_M, _POINT_SHARE * self.reach)

    def begin(self, scene: Any, timeline: Any, let_move: Callable[[Any], None]) -> None:
        """Make all nodes.

        Args:
            scene: of what stands still; ``timeline``: of what moves, as it is recorded at step 0.
            let_move: records all further changes of a body that stands in the timeline.
        """
        record = self.record
        # Many shots take turns; what stands in the only one need not be in the timeline, which is slower.
        standing = scene if len(record.shots) == 1 else timeline
        for groups, home in ((STILL_GROUPS, standing), (MOVING_GROUPS, timeline)):
            for group in groups:
                owner = scene if group == "bodies" else home
                self.groups[group] = owner.add_frame(f"/{group}", show_axes=False, visible=group not in HIDDEN_GROUPS)
                if group in PERSON_GROUPS:
                    for person in record.people:
                        owner.add_frame(f"/{group}/{person.person_id}", show_axes=False)
        self._of_shots = [self._add_shot(shot, number, standing) for number, shot in enumerate(record.shots)]
        self._of_people = [(_add_body(scene, one), *_add_person(timeline, one)) for one in record.people]
        for body, _, _ in self._of_people:
            let_move(body)
        self._camera = _add_camera(timeline, record, self.camera_scale)

    def go_to(self, step: int) -> None:
        """Bring what moves to a step; while the timeline records that step."""
        if len(self.record.shots) > 1:
            for number, nodes in enumerate(self._of_shots):
                for node in nodes:
                    node.visible = bool(number == self.record.shot_of_step[step])
        for person, drawn in zip(self.record.people, self._of_people, strict=True):
            _move_person(drawn, person, step)
        _move_camera(self._camera, self.record, step)

    def _add_shot(self, shot: ShotRecord, number: int, scene: Any) -> list[Any]:
        """The nodes of what stands still in a shot."""
        record, visible = self.record, number == 0
        nodes = [scene.add_frame(f"/scene/{number}", show_axes=False, visible=visible)]
        cloud = scene.add_point_cloud(
            f"/scene/{number}/points", shot.points.xyz, shot.points.colours, point_size=self.point_size,
            point_shape="rounded", position=shot.centre,
        )  # fmt: skip
        self.clouds.append(cloud)
        centres = record.c2w[shot.steps, :3, 3]
        if len(centres) > 1:
            nodes.append(_add_lines(scene, f"/path/{number}", path_lines(centres), _WHITE, visible))
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
            way = path_lines(np.where(person.shown[shot.steps, None], person.joint_positions[shot.steps, 0], np.nan))
            if len(way):
                name = f"/trails/{person.person_id}/shot {number}"
                nodes.append(_add_lines(scene, name, way, person.colour, visible))
        return nodes


def _add_body(scene: Any, person: PersonRecord) -> Any:
    """Hidden, as it is at rest: until the first step comes."""
    return scene.add_mesh_skinned(
        f"/bodies/{person.person_id}/body", person.vertices, person.faces.astype(np.uint32),
        bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (24, 1)), bone_positions=person.rest_joints,
        skin_weights=person.weights, color=tuple(person.colour.tolist()), visible=False, cast_shadow=False,
        receive_shadow=False,
    )  # fmt: skip


def _add_person(scene: Any, person: PersonRecord) -> tuple[Any, list[Any]]:
    """Skeleton and contacts of a person, as they are at step 0."""
    name = person.person_id
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
    return skeleton, contacts


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


def _add_lines(scene: Any, name: str, lines: ndarray, colour: Any, visible: bool, *, thickness: float = 0.012) -> Any:
    return scene.add_line_segments(
        name, lines, tuple(np.asarray(colour).tolist()), thickness=thickness, visible=visible
    )


def _bones(person: PersonRecord, step: int) -> Float32[ndarray, "23 2 3"]:
    joints = person.joint_positions[step]
    return np.stack([joints[list(PARENTS[1:])], joints[1:]], axis=1)


def _quaternions(rotation: Float[ndarray, "3 3"]) -> Float[ndarray, "4"]:
    return Rotation.from_matrix(rotation).as_quat(scalar_first=True)
