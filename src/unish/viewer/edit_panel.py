"""What the live viewer's panel offers to correct a result: heights, identities, contacts, floor, loops, distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unish.edits import ClosedLoop, Contact, Drop, Edit, Floor, KnownDistance, Merge, PersonHeight, Split
from unish.errors import InputError
from unish.viewer.clicks import Clicks
from unish.viewer.editing import EditList, find_source_pixel
from unish.viewer.record import SceneRecord

_FEWEST_FLOOR = 3
_POINTS = ("left_heel", "left_toe", "right_heel", "right_toe")
_TOUCHES, _FREE = "touches the ground", "does not touch the ground"


class EditPanel:
    """Collects edits. ``asked`` holds the complete list once somebody wants it applied.

    Args:
        clicks: places that were clicked on, for the floor and for known distances.
        step_of: the step that a window shows.
    """

    def __init__(
        self, gui: Any, record: SceneRecord, edits: EditList, clicks: Clicks, step_of: Callable[[Any], int]
    ) -> None:
        self.edits, self._record, self._clicks, self._step_of = edits, record, clicks, step_of
        self.asked: tuple[Edit, ...] | None = None
        self.asked_by: Any = None
        self._contact: tuple[int, str, float] | None = None
        with gui.add_folder("Correct", expand_by_default=False):
            ids = tuple(str(person.person_id) for person in record.people)
            if ids:
                self._lay_out_people(gui, ids)
            self._lay_out_scene(gui)
            self._list = gui.add_markdown(edits.describe())
            self._say = gui.add_markdown("")
            self._buttons = [
                self._button(gui, "take back the last", lambda event: self.edits.take_back()),
                self._button(gui, "take back all", lambda event: self.edits.clear()),
                self._button(gui, "apply", self._apply),
            ]
        self._refresh()

    def say(self, sentence: str) -> None:
        self._say.content = sentence

    def tell_progress(self, stage: str, done: int, total: int | None) -> None:
        """Fits ``unish.structs.progress.Progress``."""
        self.say(f"Working: {stage}" + (f", {done} of {total}" if total else ""))

    def fail(self, sentence: str) -> None:
        """What was asked for could not be done; the list stays to be changed."""
        self.asked = None
        self._refresh()
        self.say(f"**Not applied:** {sentence}")

    # What is offered --------------------------------------------------------------------------------------------

    def _lay_out_people(self, gui: Any, ids: Sequence[str]) -> None:
        person = gui.add_dropdown("person", ids, initial_value=ids[0])
        heights = {str(one.person_id): round(one.height_m, 2) for one in self._record.people}
        height = gui.add_number("height, m", heights[ids[0]], step=0.01)

        def show_height(event: Any) -> None:
            height.value = heights[event.target.value]

        person.on_update(show_height)
        self._adder(
            gui, "set the height", lambda at: PersonHeight(person=int(person.value), metres=float(height.value))
        )
        self._adder(gui, "leave this person out", lambda at: Drop(person=int(person.value)))
        self._adder(
            gui, "somebody else from this frame on", lambda at: Split(person=int(person.value), at_s=self._time(at))
        )
        if len(ids) > 1:
            other = gui.add_dropdown("the same as", ids, initial_value=ids[1])
            self._adder(gui, "make them one", lambda at: Merge(persons=(int(person.value), int(other.value))))
        point = gui.add_dropdown("point", _POINTS, initial_value=_POINTS[0])
        touches = gui.add_dropdown("from here to there it", (_TOUCHES, _FREE), initial_value=_TOUCHES)

        def begin(event: Any) -> None:
            self._contact = int(person.value), point.value, self._time(self._step_of(event.client))
            self.say(f"From {self._contact[2]:.2f} s; go to the frame where it ends.")

        def end(at: int) -> Edit:
            if self._contact is None:
                raise InputError("say first at which frame the contact begins")
            whose, where, begun = self._contact
            edit = Contact(
                person=whose, point=where, from_s=begun, to_s=self._time(at), touches=touches.value == _TOUCHES
            )
            self._contact = None
            return edit

        gui.add_button("contact begins at this frame").on_click(begin)
        self._adder(gui, "contact ends at this frame", end)

    def _lay_out_scene(self, gui: Any) -> None:
        metres = gui.add_number("true distance, m", 1.0, min=0.01, step=0.01)
        self._adder(gui, "the two measured points are so far apart", lambda at: self._known_distance(at, metres.value))
        self._adder(gui, "the clicked places are floor", lambda at: self._floor())
        self._adder(gui, "the camera ends where it began", lambda at: ClosedLoop(shot=self._shot(at)))

    # What is done -----------------------------------------------------------------------------------------------

    def _known_distance(self, at: int, metres: float) -> Edit:
        if len(self._clicks.places) != 2:
            raise InputError("measure first: two clicks on what you know the distance of")
        if {self._shot(at)} != {self._shot(one.step) for one in self._clicks.places}:
            raise InputError("click on both ends in the shot that is shown: each shot has a world of its own")
        (first, time_s), (second, _) = (
            find_source_pixel(self._record, at, one.place.xyz) for one in self._clicks.places
        )
        return KnownDistance(from_px=first, to_px=second, at_s=time_s, metres=float(metres))

    def _floor(self) -> Edit:
        places = self._clicks.places
        if len(places) < _FEWEST_FLOOR:
            raise InputError("click first on three or more places of the floor (Measure: click on the floor)")
        shots = {self._shot(one.step) for one in places}
        if len(shots) > 1:
            raise InputError("these places are of different shots, which have floors of their own")
        points = []
        for number, one in enumerate(places, start=1):
            try:
                pixel, time_s = find_source_pixel(self._record, one.step, one.place.xyz)
            except InputError as error:
                raise InputError(f"place {number} of {len(places)}, clicked on in another view: {error}") from None
            points.append((*pixel, time_s))
        return Floor(shot=shots.pop(), points=tuple(points))

    def _apply(self, event: Any) -> None:
        if self.edits.wanted == self.edits.applied:
            raise InputError("nothing is new")
        for button in self._buttons:
            button.disabled = True
        self.asked_by = event.client
        self.asked = self.edits.wanted
        self.say("Working …")

    def _time(self, step: int) -> float:
        return float(self._record.times_s[step])

    def _shot(self, step: int) -> int:
        return int(self._record.shot_of_step[step])

    def _adder(self, gui: Any, text: str, make: Callable[[int], Edit]) -> None:
        """A button that adds an edit, made from the step that its window shows."""
        self._button(gui, text, lambda event: self.edits.add(make(self._step_of(event.client))))

    def _button(self, gui: Any, text: str, act: Callable[[Any], None]) -> Any:
        """A button; where its action does not fit, the panel says why."""

        def click(event: Any) -> None:
            if self.asked is not None:
                return
            try:
                self.say("")
                act(event)
            except InputError as error:
                self.say(f"{error}")
            if self.asked is None:
                self._refresh()

        button = gui.add_button(text)
        button.on_click(click)
        return button

    def _refresh(self) -> None:
        self._list.content = self.edits.describe()
        changed = self.edits.wanted != self.edits.applied
        for button, possible in zip(self._buttons, (self.edits.wanted, self.edits.wanted, changed), strict=True):
            button.disabled = not possible
