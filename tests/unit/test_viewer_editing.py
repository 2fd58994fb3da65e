"""Edits from the viewer: the list in words, clicked places as pixels of the source, and what every button adds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from small_record import make_figure, make_record
from unish.edits import (
    KINDS,
    ClosedLoop,
    Contact,
    Drop,
    Edit,
    Floor,
    KnownDistance,
    Merge,
    PersonHeight,
    Split,
    describe_edits,
    parse_edits,
)  # fmt: skip
from unish.errors import InputError
from unish.viewer.clicks import Clicked, Clicks
from unish.viewer.edit_panel import EditPanel
from unish.viewer.editing import EditList, describe_edit, find_source_pixel
from unish.viewer.measuring import Place
from unish.viewer.record import SceneRecord, build_record

EXAMPLES: tuple[Edit, ...] = (
    PersonHeight(person=3, metres=1.72), Merge(persons=(3, 4)), Split(person=3, at_s=1.5), Drop(person=4),
    Contact(person=3, point="left_heel", from_s=0.5, to_s=1.0, touches=True),
    Floor(shot=0, points=((1.0, 2.0, 0.5), (3.0, 2.0, 0.5), (1.0, 5.0, 0.5))), ClosedLoop(shot=0),
    KnownDistance(from_px=(1.0, 2.0), to_px=(3.0, 4.0), at_s=0.5, metres=2.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def record() -> SceneRecord:
    body = make_figure()
    return build_record(make_record(body, num_frames=4), body, title="x", max_points=500)


class FakeGui:
    """Hands out controls as viser does, and remembers them by their text."""

    def __init__(self) -> None:
        self.controls: dict[str, Any] = {}

    @contextlib.contextmanager
    def add_folder(self, text: str, **options: Any) -> Iterator[None]:
        yield

    def add_markdown(self, content: str) -> Any:
        return SimpleNamespace(content=content)

    def _add(self, text: str, value: Any = None) -> Any:
        control = SimpleNamespace(value=value, disabled=False, act=None)
        control.on_click = control.on_update = lambda act: setattr(control, "act", act)
        self.controls[text] = control
        return control

    def add_button(self, text: str) -> Any:
        return self._add(text)

    def add_number(self, text: str, value: float, **options: Any) -> Any:
        return self._add(text, value)

    def add_dropdown(self, text: str, choices: Any, *, initial_value: str) -> Any:
        assert initial_value in choices
        return self._add(text, initial_value)

    def set(self, text: str, value: Any) -> None:
        control = self.controls[text]
        control.value = value
        if control.act is not None:
            control.act(SimpleNamespace(target=control))

    def press(self, text: str, step: int = 0) -> None:
        self.controls[text].act(SimpleNamespace(client=step))


def make_panel(record: SceneRecord, applied: tuple[Edit, ...] = ()) -> tuple[FakeGui, EditPanel, Clicks]:
    gui, clicks = FakeGui(), object.__new__(Clicks)  # without a server to mark them on
    clicks.places = []
    step_of: Callable[[Any], int] = lambda client: client  # noqa: E731
    return gui, EditPanel(gui, record, EditList(applied=applied), clicks, step_of), clicks


def test_every_kind_has_words() -> None:
    assert {type(edit) for edit in EXAMPLES} == set(KINDS.values())
    told = [describe_edit(edit) for edit in EXAMPLES]
    assert len(set(told)) == len(EXAMPLES) and all(told)
    assert told[0] == "person 3 is 1.72 m tall"


def test_the_list_says_what_is_new_and_what_is_taken_back() -> None:
    edits = EditList(applied=EXAMPLES[:2])
    assert "new" not in edits.describe() and "~~" not in edits.describe()
    edits.add(EXAMPLES[3])
    assert [("new" in line) for line in edits.describe().splitlines()] == [False, False, True]
    edits.take_back()
    edits.take_back()
    assert edits.wanted == EXAMPLES[:1] and edits.describe().splitlines()[1] == "- ~~persons 3 and 4 are one~~"
    edits.clear()
    edits.take_back()
    assert edits.wanted == () and edits.describe().count("~~") == 4
    assert EditList(applied=()).describe() == "Nothing is corrected."


def test_a_place_is_found_in_the_film(record: SceneRecord) -> None:
    """A place on the floor, 4 m ahead of the camera of step 2, in pixels of a source ten times as large."""
    place = record.c2w[2, :3, 3] + [0.3, 1.4, 4.0]
    (x, y), time_s = find_source_pixel(record, 2, place)
    assert (x, y) == pytest.approx((10 * (32 + 60 * 0.3 / 4), 10 * (24 + 60 * 1.4 / 4)), abs=0.01)
    assert time_s == pytest.approx(0.5 + 2 / 6)


@pytest.mark.parametrize(
    ("offset", "says"),
    [([0.0, 0.0, -2.0], "not in the picture"), ([9.0, 0.0, 3.0], "not in the picture"),
     ([0.0, 0.6, 3.0], "another surface"), ([0.0, -1.15, 3.0], "no depth")],
)  # fmt: skip
def test_a_place_that_the_frame_does_not_show_is_refused(record: SceneRecord, offset: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        find_source_pixel(record, 1, record.c2w[1, :3, 3] + offset)


def test_every_button_adds_its_edit(record: SceneRecord) -> None:
    gui, panel, clicks = make_panel(record)
    gui.set("person", "4")
    assert gui.controls["height, m"].value == round(record.people[1].height_m, 2)
    gui.set("height, m", 1.8)
    gui.press("set the height")
    gui.press("leave this person out")
    gui.press("somebody else from this frame on", step=2)
    gui.set("the same as", "3")
    gui.press("make them one")
    gui.set("point", "right_toe")
    gui.press("contact begins at this frame", step=1)
    gui.press("contact ends at this frame", step=3)
    gui.press("the camera ends where it began")
    floor = [record.c2w[1, :3, 3] + [x, 1.4, z] for x, z in ((0, 4.0), (0.5, 4.0), (0, 5.0))]
    clicks.places = [Clicked(place=Place(xyz=place, sigma_m=0.0), step=1) for place in floor]
    gui.press("the clicked places are floor", step=3)
    clicks.places = clicks.places[:2]
    gui.set("true distance, m", 0.6)
    gui.press("the two measured points are so far apart", step=1)
    second = float(record.times_s[1])
    kinds = [type(edit) for edit in panel.edits.wanted]
    assert kinds == [PersonHeight, Drop, Split, Merge, Contact, ClosedLoop, Floor, KnownDistance]
    height, drop, split, merge, contact, _, ground, known = panel.edits.wanted
    assert height == PersonHeight(person=4, metres=1.8) and drop == Drop(person=4)
    assert split == Split(person=4, at_s=float(record.times_s[2])) and merge == Merge(persons=(4, 3))
    assert contact == Contact(person=4, point="right_toe", from_s=second, to_s=float(record.times_s[3]), touches=True)
    assert ground.points is not None and {time_s for *_, time_s in ground.points} == {second}
    assert known.metres == 0.6 and known.at_s == second
    np.testing.assert_allclose(np.subtract(known.to_px, known.from_px), [10 * 60 * 0.5 / 4, 0], atol=0.01)
    assert parse_edits(describe_edits(panel.edits.wanted)) == panel.edits.wanted  # as a file


def test_what_does_not_fit_is_said_and_not_added(record: SceneRecord) -> None:
    gui, panel, _ = make_panel(record)
    for text, says in (
        ("the two measured points are so far apart", "measure first"),
        ("the clicked places are floor", "three or more"),
        ("contact ends at this frame", "say first"),
        ("apply", "nothing is new"),
    ):  # fmt: skip
        gui.press(text)
        assert says in panel._say.content and panel.edits.wanted == ()
    gui.set("height, m", 40.0)
    gui.press("set the height")
    assert "40" in panel._say.content and panel.edits.wanted == ()
    gui.press("contact begins at this frame", step=3)
    gui.press("contact ends at this frame", step=1)
    assert "before it begins" in panel._say.content and panel.edits.wanted == ()
    gui.set("person", "4")
    gui.press("contact ends at this frame", step=3)
    (contact,) = panel.edits.wanted
    assert contact == Contact(
        person=3, point="left_heel", from_s=float(record.times_s[3]), to_s=float(record.times_s[3]), touches=True
    ), "what was begun is kept, for whom it was begun"


def test_places_of_another_shot_are_refused(record: SceneRecord) -> None:
    gui, panel, clicks = make_panel(replace(record, shot_of_step=np.array([0, 0, 1, 1])))
    ends = [record.c2w[1, :3, 3] + [x, 1.4, 4.0] for x in (0, 0.5)]
    for steps, at in (((1, 1), 2), ((1, 2), 1), ((1, 2), 2)):
        clicks.places = [
            Clicked(place=Place(xyz=xyz, sigma_m=0.0), step=step) for xyz, step in zip(ends, steps, strict=True)
        ]
        gui.press("the two measured points are so far apart", step=at)
        assert "world of its own" in panel._say.content and panel.edits.wanted == ()


def test_a_floor_place_that_was_clicked_on_in_another_view_is_named(record: SceneRecord) -> None:
    gui, panel, clicks = make_panel(record)
    floor = [record.c2w[1, :3, 3] + [x, 1.4, z] for x, z in ((0, 4.0), (0.5, 4.0), (0, -5.0))]
    clicks.places = [Clicked(place=Place(xyz=place, sigma_m=0.0), step=1) for place in floor]
    gui.press("the clicked places are floor", step=1)
    assert "place 3 of 3" in panel._say.content and panel.edits.wanted == ()


def test_applying_waits_for_its_end(record: SceneRecord) -> None:
    gui, panel, _ = make_panel(record, applied=EXAMPLES[:1])
    assert gui.controls["apply"].disabled and not gui.controls["take back all"].disabled
    gui.press("take back all")
    gui.press("apply")
    assert panel.asked == () and all(gui.controls[text].disabled for text in ("apply", "take back all"))
    gui.press("leave this person out")  # too late
    assert panel.edits.wanted == ()
    panel.tell_progress("settle", 2, 5)
    assert panel._say.content == "Working: settle, 2 of 5"
    panel.fail("edit 1 (drop): there is no person 9")
    assert panel.asked is None and "no person 9" in panel._say.content
    gui.press("leave this person out")
    assert panel.edits.wanted == (Drop(person=3),) and not gui.controls["apply"].disabled


def test_where_nobody_is_the_scene_can_be_corrected() -> None:
    body = make_figure()
    empty = build_record(make_record(body, num_people=0, num_frames=2), body, title="x", max_points=100)
    gui, panel, _ = make_panel(replace(empty))
    assert "person" not in gui.controls
    gui.press("the camera ends where it began")
    assert panel.edits.wanted == (ClosedLoop(shot=0),)
