"""The live viewer: what the panel of the browser offers, and what happens at every step and click."""

from __future__ import annotations

import io
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray
from PIL import Image

from unish.body import Body
from unish.errors import InputError
from unish.render.colours import depth_range
from unish.structs import Reconstruction
from unish.viewer.clicks import Clicks
from unish.viewer.colouring import MODES, colour_points
from unish.viewer.drawing import HIDDEN_GROUPS, MOVING_GROUPS, STILL_GROUPS
from unish.viewer.edit_panel import EditPanel
from unish.viewer.editing import Apply, EditList
from unish.viewer.film_camera import fill_window, fit_window
from unish.viewer.following import Follower
from unish.viewer.record import SceneRecord, build_record, describe_height
from unish.viewer.stage import Stage, open_stage

MAX_POINTS = 60_000
WHOLE, FRAME, BOTH = "whole scene", "this frame", "both"
_NOBODY = "nobody"
_WINDOW_PX = 1280
"""Long side of the picture behind the scene while one sees through the camera."""
_MANY = 100
"""Most places of a floor that are clicked on."""
_LOOK_S = 0.2
"""How often one looks whether somebody wants edits applied. A sleep, unlike a lock, can be interrupted everywhere."""


def serve(
    reconstruction: Reconstruction,
    body: Body,
    *,
    title: str,
    report: Mapping[str, Any] | None = None,
    port: int = 0,
    open_browser: bool = True,
    edits: EditList | None = None,
    apply: Apply | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Show a reconstruction in the browser until the program is interrupted.

    The server answers on this machine alone. When edits have been applied, the server ends, another one on the same
    port shows the new result, and the windows load it; they look from where the window did that asked for it.

    Args:
        edits: those of the result, which the panel then lets a user change.
        apply: what applies them; given with ``edits``.

    Raises:
        InputError: the extra ``view`` is missing, or the port is taken.
    """
    kept, first = None, True
    while True:
        record = build_record(reconstruction, body, title=title, report=report, max_points=MAX_POINTS)
        with open_stage(record, port=port) as stage:
            viewer = LiveViewer(stage, edits=edits, kept=kept)
            if first:
                announce(f"{stage.address} shows {title}; end with Ctrl+C")
                if open_browser:
                    webbrowser.open(stage.address)
            try:
                reconstruction, report = _await_result(viewer, apply)
            except KeyboardInterrupt:
                return
            assert viewer.panel is not None
            edits = EditList(applied=viewer.panel.edits.wanted)
            kept, first, port = viewer.view_of(viewer.panel.asked_by), False, stage.server.get_port()
            stage.have_pages_come_back()


def _await_result(viewer: LiveViewer, apply: Apply | None) -> tuple[Reconstruction, Mapping[str, Any]]:
    """The next result and its report, once somebody has asked for edits that fit."""
    panel = viewer.panel
    while True:
        time.sleep(_LOOK_S)
        if panel is None or apply is None or panel.asked is None:
            continue
        try:
            return apply(panel.asked, panel.tell_progress)
        except (InputError, OSError, MemoryError) as error:
            # The list of edits is in this process alone: it outlives a full disk, too.
            panel.fail(f"{error}" or "the memory is not enough")


@dataclass(frozen=True, kw_only=True)
class KeptView:
    """What a window shows, for the one that takes its place: the step, and the camera's place, target and up."""

    step: int
    position: Float64[ndarray, "3"]
    look_at: Float64[ndarray, "3"]
    up: Float64[ndarray, "3"]


@dataclass
class _Choices:
    """What the panel says; it is one for all windows. ``clicks``: most places that are clicked on, 0 for none."""

    points: str = WHOLE
    colour: str = MODES[0]
    confidence: float = 0.0
    film: bool = False
    follow: int | None = None
    clicks: int = 0


class LiveViewer:
    """The panel, and one ``Follower`` for each window that is open."""

    def __init__(self, stage: Stage, *, edits: EditList | None = None, kept: KeptView | None = None) -> None:
        """``edits``: of the result, which the panel then offers to change; ``kept``: what windows show at first."""
        self.stage, self.record = stage, stage.record
        self.choices = _Choices()
        self.clicks = Clicks(stage)
        self.panel: EditPanel | None = None
        self._first_step = 0
        self._depth_range = depth_range(self.record.reconstruction.depth)
        self._windows: dict[int, Follower] = {}
        self._begun: set[int] = set()
        self._lock = threading.Lock()
        self._frame_clouds: dict[int, Any] = {}
        self._aspects: dict[int, float] = {}
        self._kept_cameras: dict[int, tuple[Any, ...]] = {}
        self._lay_out(stage.server.gui, edits)
        if kept is not None:
            camera, self._first_step = stage.server.initial_camera, min(kept.step, self.record.num_steps - 1)
            camera.position, camera.look_at, camera.up = kept.position, kept.look_at, kept.up
        stage.server.on_client_connect(self._open_window)
        stage.server.on_client_disconnect(self._close_window)
        stage.server.on_timestep_change(self._change_step)
        stage.server.scene.on_click()(self._click)

    # The panel --------------------------------------------------------------------------------------------------

    def _lay_out(self, gui: Any, edits: EditList | None) -> None:
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
            floor = None if edits is None else gui.add_checkbox("click on places of the floor", False)
            self._result = gui.add_markdown(_describe_heights(self.record))
        if edits is not None:
            self.panel = EditPanel(gui, self.record, edits, self.clicks, lambda client: self._window(client).step)
        with gui.add_folder("Show", expand_by_default=False):
            for group, text in (STILL_GROUPS | MOVING_GROUPS).items():
                box = gui.add_checkbox(text, group not in HIDDEN_GROUPS)
                box.on_update(lambda event, group=group: self.stage.show(group, event.target.value))
        points.on_update(lambda event: self._choose(points=event.target.value))
        colour.on_update(lambda event: self._choose(colour=event.target.value))
        confidence.on_update(lambda event: self._choose(confidence=event.target.value))
        film.on_update(lambda event: self._switch_film(event.target.value))
        follow.on_update(lambda event: self._follow(people.index(event.target.value) - 1))
        measuring.on_update(lambda event: self._take_clicks(2 if event.target.value else 0, floor))
        if floor is not None:
            floor.on_update(lambda event: self._take_clicks(_MANY if event.target.value else 0, measuring))
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
        self._window(client).go_to(self._first_step)

    def _change_step(self, client: Any, step: int) -> None:
        """A window has gone to a step; one that has just been opened goes to the first one that it shall show.

        Not earlier: the timeline tells a window to begin at 0, by a thread that may come after ours.
        """
        with self._lock:
            begins = client.client_id not in self._begun
            self._begun.add(client.client_id)
        if begins and self._first_step:
            self.stage.seek(client, self._first_step)
        else:
            self._window(client).go_to(step)

    def view_of(self, client: Any) -> KeptView | None:
        """What a window shows; ``None`` where it is gone."""
        if client is None or client.client_id not in self._windows:
            return None
        kept, camera = self._kept_cameras.get(client.client_id), client.camera
        # Who sees through the camera of the film comes back to where they were before.
        position, look_at, up = kept[:3] if kept else (camera.position, camera.look_at, camera.up_direction)
        return KeptView(step=self._window(client).step, position=position, look_at=look_at, up=up)

    def _follow_shape(self, client: Any) -> None:
        """The picture behind the scene fits the window's shape. Moves of the camera are no reason: we make them."""
        if self.choices.film and self._aspects.get(client.client_id) != client.camera.aspect:
            self._window(client).again()

    def _close_window(self, client: Any) -> None:
        with self._lock:
            window = self._windows.pop(client.client_id, None)
            self._begun.discard(client.client_id)
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

    def _take_clicks(self, most: int, other: Any) -> None:
        """Begin anew, with at most so many places; the ``other`` box that is for clicks is off then."""
        if most and other is not None:
            other.value = False
        self.choices.clicks = most
        self.clicks.clear()
        self._result.content = "Click on a point of the scene or of a body." if most else _describe_heights(self.record)

    def _click(self, event: Any) -> None:
        most, clicks = self.choices.clicks, self.clicks
        if not most:
            return
        if len(clicks.places) == most:
            clicks.clear()
        step = self._window(event.client).step
        if not clicks.add(event, step, self.shown_points(step, people=most == 2)):
            self._result.content = "There is no point there; click on the scene or on a body."
        elif most != 2:
            self._result.content = f"{len(clicks.places)} places; three or more say where the floor is."
        elif len(clicks.places) == 2:
            self._result.content = clicks.measure()

    def shown_points(self, step: int, *, people: bool = True) -> Float32[ndarray, "N 3"]:
        """Everything of a step that a click can mean, world metres: scene, the frame's own points, bodies.

        Args:
            people: whether people can be meant; nobody is a place of the floor.
        """
        choices, record = self.choices, self.record
        parts = [person.posed_vertices(step) for person in record.people if people and person.shown[step]]
        if choices.points != FRAME:
            shot = record.shots[int(record.shot_of_step[step])]
            parts.append((shot.points.xyz + shot.centre)[shot.points.confidence >= choices.confidence])
        if choices.points != WHOLE:
            found = record.frame_points(step, max_points=MAX_POINTS)
            parts.append(found.xyz[(found.confidence >= choices.confidence) & (people | (found.person < 0))])
        return np.concatenate([np.zeros((0, 3)), *parts]).astype(np.float32)

    def _save_screenshot(self, client: Any) -> None:
        if client is None:
            return
        picture = client.get_render(client.camera.image_height, client.camera.image_width, transport_format="png")
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        client.send_file_download(f"{self.record.title}.png", file.getvalue(), save_immediately=True)


def _describe_heights(record: SceneRecord) -> str:
    """A line for each person."""
    lines = (f"person {person.person_id}: height {describe_height(record, person)}" for person in record.people)
    return "\n\n".join(lines) or "Nobody was found."
