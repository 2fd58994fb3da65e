"""The live viewer: what the panel of the browser offers, and what happens at every step and click."""

from __future__ import annotations

import io
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from PIL import Image

from unish.body import Body
from unish.render.colours import depth_range
from unish.structs import Reconstruction
from unish.viewer.colouring import MODES, colour_points
from unish.viewer.drawing import HIDDEN_GROUPS, MOVING_GROUPS, STILL_GROUPS
from unish.viewer.film_camera import fill_window, fit_window
from unish.viewer.following import Follower
from unish.viewer.measuring import Place, find_place, measure_distance
from unish.viewer.record import SceneRecord, build_record
from unish.viewer.stage import Stage, open_stage

MAX_POINTS = 60_000
WHOLE, FRAME, BOTH = "whole scene", "this frame", "both"
_NOBODY = "nobody"
_WINDOW_PX = 1280
"""Long side of the picture behind the scene while one sees through the camera."""
_MARK_COLOUR = (255, 235, 60)


def serve(
    reconstruction: Reconstruction,
    body: Body,
    *,
    title: str,
    report: Mapping[str, Any] | None = None,
    port: int = 0,
    open_browser: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Show a reconstruction in the browser until the program is interrupted.

    The server answers on this machine alone.

    Raises:
        InputError: the extra ``view`` is missing, or the port is taken.
    """
    record = build_record(reconstruction, body, title=title, report=report, max_points=MAX_POINTS)
    with open_stage(record, port=port) as stage:
        LiveViewer(stage)
        announce(f"{stage.address} shows {title}; end with Ctrl+C")
        if open_browser:
            webbrowser.open(stage.address)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


@dataclass
class _Choices:
    """What the panel says; it is one for all windows."""

    points: str = WHOLE
    colour: str = MODES[0]
    confidence: float = 0.0
    film: bool = False
    follow: int | None = None
    measuring: bool = False
    marked: list[tuple[int, Place]] = field(default_factory=list)


class LiveViewer:
    """The panel, and one ``Follower`` for each window that is open."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.record = stage, stage.record
        self.choices = _Choices()
        self._depth_range = depth_range(self.record.reconstruction.depth)
        self._windows: dict[int, Follower] = {}
        self._lock = threading.Lock()
        self._marks: list[Any] = []
        self._frame_clouds: dict[int, Any] = {}
        self._aspects: dict[int, float] = {}
        self._kept_cameras: dict[int, tuple[Any, ...]] = {}
        self._lay_out(stage.server.gui)
        stage.server.on_client_connect(self._open_window)
        stage.server.on_client_disconnect(self._close_window)
        stage.server.on_timestep_change(lambda client, step: self._window(client).go_to(step))
        stage.server.scene.on_click()(self._click)

    # The panel --------------------------------------------------------------------------------------------------

    def _lay_out(self, gui: Any) -> None:
        gui.configure_theme(dark_mode=True, show_share_button=False, show_logo=False)
        with gui.add_folder("Points"):
            points = gui.add_dropdown("show", (WHOLE, FRAME, BOTH), initial_value=WHOLE)
            colour = gui.add_dropdown("colour by", MODES, initial_value=MODES[0])
            confidence = gui.add_slider("confidence from", 0.0, 1.0, 0.01, 0.0)
        with gui.add_folder("Camera"):
            film = gui.add_checkbox("see through the camera", False)
            people = (_NOBODY, *(f"person {person.person_id}" for person in self.record.people))
            follow = gui.add_dropdown("follow", people, initial_value=_NOBODY)
            screenshot = gui.add_button("save a screenshot")
        with gui.add_folder("Measure"):
            measuring = gui.add_checkbox("click on two points", False)
            self._result = gui.add_markdown(_describe_heights(self.record))
        with gui.add_folder("Show", expand_by_default=False):
            for group, text in (STILL_GROUPS | MOVING_GROUPS).items():
                box = gui.add_checkbox(text, group not in HIDDEN_GROUPS)
                box.on_update(lambda event, group=group: self.stage.show(group, event.target.value))
        points.on_update(lambda event: self._choose(points=event.target.value))
        colour.on_update(lambda event: self._choose(colour=event.target.value))
        confidence.on_update(lambda event: self._choose(confidence=event.target.value))
        film.on_update(lambda event: self._switch_film(event.target.value))
        follow.on_update(lambda event: self._follow(people.index(event.target.value) - 1))
        measuring.on_update(lambda event: self._start_measuring(event.target.value))
        screenshot.on_click(lambda event: self._save_screenshot(event.client))

    def _choose(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.choices, name, value)
        self._colour_scene()
        self._refresh()

    def _follow(self, person: int) -> None:
        self.choices.follow = None if person < 0 else person
        self._refresh()

    def _colour_scene(self) -> None:
        """The scene points of every shot, as the panel wants them; none of them where the frame alone is shown."""
        choices = self.choices
        whole = choices.points != FRAME and not choices.film
        for number, shot in enumerate(self.record.shots):
            points = shot.points
            shown = whole & (points.confidence >= choices.confidence)
            scene = np.full(len(points.xyz), -1)
            colours = self._colours(points.colours, shot.distance, points.confidence, scene)
            self.stage.set_points(number, points.xyz[shown], colours[shown])

    def _colours(self, picture: ndarray, distance: ndarray, confidence: ndarray, person: ndarray) -> ndarray:
        return colour_points(
            self.choices.colour, picture=picture, distance=distance, confidence=confidence, person=person,
            person_ids=self.record.reconstruction.person_ids, depth_range=self._depth_range,
        )  # fmt: skip

    # Windows ----------------------------------------------------------------------------------------------------

    def _window(self, client: Any) -> Follower:
        with self._lock:
            if client.client_id not in self._windows:
                self._windows[client.client_id] = Follower(lambda step, before: self._arrive(client, step, before))
            return self._windows[client.client_id]

    def _open_window(self, client: Any) -> None:
        client.camera.on_update(lambda camera: self._follow_shape(client))
        self._window(client).go_to(0)

    def _follow_shape(self, client: Any) -> None:
        """The picture behind the scene fits the window's shape. Moves of the camera are no reason: we make them."""
        if self.choices.film and self._aspects.get(client.client_id) != client.camera.aspect:
            self._window(client).again()

    def _close_window(self, client: Any) -> None:
        with self._lock:
            window = self._windows.pop(client.client_id, None)
            self._kept_cameras.pop(client.client_id, None)
            self._frame_clouds.pop(client.client_id, None)
        if window is not None:
            window.stop()

    def _refresh(self) -> None:
        with self._lock:
            windows = list(self._windows.values())
        for window in windows:
            window.again()

    def _arrive(self, client: Any, step: int, before: int) -> None:
        """A window shows another step, or the panel has changed: what the timeline does not hold is brought up."""
        self._show_frame_points(client, step)
        if self.choices.film:
            self._look_through(client, step)
        elif self.choices.follow is not None and step != before:
            self._follow_person(client, step, before)

    def _show_frame_points(self, client: Any, step: int) -> None:
        choices = self.choices
        old = self._frame_clouds.get(client.client_id)
        found = None
        if choices.points != WHOLE and not choices.film:
            found = self.record.frame_points(step, max_points=MAX_POINTS)
            keep = (found.confidence >= choices.confidence) & ((choices.points == FRAME) | (found.person >= 0))
        if found is None or not keep.any():
            if old is not None:
                old.visible = False
            return
        distance = np.linalg.norm(found.xyz - self.record.c2w[step, :3, 3], axis=-1)
        centre = self.record.shots[int(self.record.shot_of_step[step])].centre
        colours = self._colours(found.colours, distance, found.confidence, found.person)
        self._frame_clouds[client.client_id] = client.scene.add_point_cloud(
            "/frame_points", (found.xyz - centre)[keep], colours[keep], point_size=self.stage.drawing.point_size,
            point_shape="rounded", position=centre,
        )  # fmt: skip

    def _follow_person(self, client: Any, step: int, before: int) -> None:
        """The view moves along with the hips of a person."""
        person = self.record.people[self.choices.follow or 0]
        same_shot = self.record.shot_of_step[step] == self.record.shot_of_step[before]
        if same_shot and person.shown[step] and person.shown[before]:
            moved = (person.joint_positions[step, 0] - person.joint_positions[before, 0]).astype(np.float64)
            target = client.camera.look_at + moved
            with client.atomic():
                client.camera.position = client.camera.position + moved
                client.camera.look_at = target

    # Seeing through the camera ----------------------------------------------------------------------------------

    def _switch_film(self, on: bool) -> None:
        self.choices.film = on
        for group in ("camera", "ground", "path", "trails"):
            self.stage.show(group, not on)
        self._colour_scene()
        for client in self.stage.server.get_clients().values():
            camera = client.camera
            if on:
                pose = (camera.position.copy(), camera.look_at.copy(), camera.up_direction.copy(), camera.fov)
                self._kept_cameras.setdefault(client.client_id, pose)
            elif client.client_id in self._kept_cameras:
                position, look_at, up, fov = self._kept_cameras.pop(client.client_id)
                client.scene.set_background_image(None)
                with client.atomic():
                    camera.up_direction, camera.position, camera.look_at, camera.fov = up, position, look_at, fov
        self._refresh()

    def _look_through(self, client: Any, step: int) -> None:
        """The view from where the frame was filmed, and the frame behind it, edge on edge."""
        record, camera = self.record, client.camera
        aspect = self._aspects[client.client_id] = camera.aspect
        fov, place = fit_window(record.intrinsics[step], record.image_size, aspect)
        window = (round(_WINDOW_PX / aspect), _WINDOW_PX) if aspect > 1 else (_WINDOW_PX, round(_WINDOW_PX * aspect))
        client.scene.set_background_image(fill_window(record.picture(step), place, window), format="jpeg")
        pose = record.c2w[step]
        with client.atomic():
            camera.up_direction = -pose[:3, 1]
            camera.position = pose[:3, 3]
            camera.look_at = pose[:3, 3] + pose[:3, 2]
            camera.fov = fov

    # Measuring and pictures -------------------------------------------------------------------------------------

    def _start_measuring(self, on: bool) -> None:
        self.choices.measuring, self.choices.marked = on, []
        for mark in self._marks:
            mark.remove()
        self._marks = []
        self._result.content = "Click on a point of the scene or of a body." if on else _describe_heights(self.record)

    def _click(self, event: Any) -> None:
        if not self.choices.measuring:
            return
        if len(self.choices.marked) == 2:
            self._start_measuring(True)
        step = self._window(event.client).step
        place = find_place(np.array(event.ray_origin), np.array(event.ray_direction), self.shown_points(step))
        if place is None:
            self._result.content = "There is no point there; click on the scene or on a body."
            return
        self.choices.marked.append((int(self.record.shot_of_step[step]), place))
        self._mark(place)
        if len(self.choices.marked) == 2:
            self._conclude()

    def shown_points(self, step: int) -> Float32[ndarray, "N 3"]:
        """Everything of a step that a click can mean, world metres: scene, the frame's own points, bodies."""
        choices, record = self.choices, self.record
        parts = [person.posed_vertices(step) for person in record.people if person.shown[step]]
        if choices.points != FRAME:
            shot = record.shots[int(record.shot_of_step[step])]
            parts.append((shot.points.xyz + shot.centre)[shot.points.confidence >= choices.confidence])
        if choices.points != WHOLE:
            found = record.frame_points(step, max_points=MAX_POINTS)
            parts.append(found.xyz[found.confidence >= choices.confidence])
        return np.concatenate([np.zeros((0, 3)), *parts]).astype(np.float32)

    def _mark(self, place: Place) -> None:
        scene, number = self.stage.server.scene, len(self._marks)
        radius = 2.5 * self.stage.drawing.point_size
        self._marks.append(
            scene.add_icosphere(f"/measure/{number}", radius=radius, color=_MARK_COLOUR, position=place.xyz)
        )

    def _conclude(self) -> None:
        (shot, first), (other, second) = self.choices.marked
        if shot != other:
            self._result.content = "The two points are of different shots, which are worlds of their own."
            return
        found = measure_distance(first, second, self.record.shots[shot].scale_interval).describe()
        self._result.content = f"**{found}**\n\nClick again to measure anew."
        scene, ends = self.stage.server.scene, np.stack([first.xyz, second.xyz])
        self._marks.append(scene.add_line_segments("/measure/line", ends[None], _MARK_COLOUR, thickness=0.01))
        self._marks.append(scene.add_label("/measure/text", found, position=ends.mean(axis=0)))

    def _save_screenshot(self, client: Any) -> None:
        if client is None:
            return
        picture = client.get_render(client.camera.image_height, client.camera.image_width, transport_format="png")
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        client.send_file_download(f"{self.record.title}.png", file.getvalue(), save_immediately=True)


def _describe_heights(record: SceneRecord) -> str:
    """A line for each person: their height, and between which it lies as far as the scene's size is known."""
    lines = []
    for person in record.people:
        shot = int(record.shot_of_step[int(np.argmax(person.shown))])
        low, high = person.height_m * record.shots[shot].scale_interval
        between = f" ({low:.2f} to {high:.2f} m)" if np.isfinite(low) else ""
        lines.append(f"person {person.person_id}: height {person.height_m:.2f} m{between}")
    return "\n\n".join(lines) or "Nobody was found."
