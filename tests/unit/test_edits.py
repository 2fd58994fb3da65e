"""Files of edits: what they say is what is read, and whatever else they hold is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

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
    read_edits,
)
from unish.errors import InputError

FILE = """
{"format": "unish-edits/1", "edits": [
  {"kind": "person_height", "person": 1, "metres": 1.72},
  {"kind": "merge", "persons": [1, 4]},
  {"kind": "split", "person": 1, "at_s": 12.0},
  {"kind": "drop", "person": 3},
  {"kind": "contact", "person": 1, "point": "left_heel", "from_s": 3.0, "to_s": 4.5, "touches": true},
  {"kind": "floor", "shot": 0, "plane": [0, -1, 0, 1.5]},
  {"kind": "floor", "shot": 1, "points": [[10, 300, 0.5], [200, 310, 0.5], [90, 350, 2]]},
  {"kind": "closed_loop", "shot": 0},
  {"kind": "known_distance", "from": [10, 20], "to": [30, 40], "at_s": 2.0, "metres": 1.5}
]}
"""
EDITS: tuple[Edit, ...] = (
    PersonHeight(person=1, metres=1.72),
    Merge(persons=(1, 4)),
    Split(person=1, at_s=12.0),
    Drop(person=3),
    Contact(person=1, point="left_heel", from_s=3.0, to_s=4.5, touches=True),
    Floor(shot=0, plane=(0.0, -1.0, 0.0, 1.5)),
    Floor(shot=1, points=((10.0, 300.0, 0.5), (200.0, 310.0, 0.5), (90.0, 350.0, 2.0))),
    ClosedLoop(shot=0),
    KnownDistance(from_px=(10.0, 20.0), to_px=(30.0, 40.0), at_s=2.0, metres=1.5),
)


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    """Without the checks of types that the tests switch on, which would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_a_file_says_its_edits_and_edits_say_their_file(tmp_path: Path) -> None:
    (tmp_path / "edits.json").write_text(FILE)
    assert read_edits(tmp_path / "edits.json") == EDITS
    assert describe_edits(EDITS) == json.loads(FILE)
    assert {edit.kind for edit in EDITS} == set(KINDS)
    assert parse_edits({"format": "unish-edits/1", "edits": []}) == ()


WRONG_FILES = {
    "[": "not readable as JSON",
    "[" * 100_000: "not readable as JSON",
    "{}": "no list of edits",
    '{"format": "unish-edits/1"}': "no list of edits",
    '{"format": "unish-edits/2", "edits": []}': "format is 'unish-edits/2'",
    '{"edits": []}': "format is None",
}


@pytest.mark.parametrize("number", range(len(WRONG_FILES)))
def test_files_that_hold_no_edits(number: int, tmp_path: Path) -> None:
    text, said = list(WRONG_FILES.items())[number]
    path = tmp_path / "edits.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_edits(path)
    assert said in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_edits(tmp_path / "missing.json")
    (tmp_path / "edits.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not readable as JSON"):
        read_edits(tmp_path / "edits.json")


WRONG_EDITS: list[tuple[Any, str]] = [
    ("drop", "give an object"),
    ({"person": 1}, "the kind None is not known; give one of person_height, merge"),
    ({"kind": "delete", "person": 1}, "the kind 'delete' is not known"),
    ({"kind": ["drop"], "person": 1}, "is not known"),
    ({"kind": "drop"}, "drop lacks 'person'"),
    ({"kind": "drop", "person": 1, "because": "no"}, "drop has no key 'because'; its keys are person"),
    ({"kind": "drop", "person": -1}, "a person of drop is -1"),
    ({"kind": "drop", "person": True}, "a person of drop is True"),
    ({"kind": "person_height", "person": 1, "metres": 172}, "metres of person_height is 172"),
    ({"kind": "person_height", "person": 1, "metres": "1.72"}, "metres of person_height is '1.72'"),
    ({"kind": "merge", "persons": [1]}, "give two or more different ids"),
    ({"kind": "merge", "persons": [1, 1]}, "give two or more different ids"),
    ({"kind": "merge", "persons": 1}, "persons of merge is 1; give a list"),
    ({"kind": "merge", "persons": [1, "4"]}, "a person of merge is '4'"),
    ({"kind": "split", "person": 1, "at_s": -1}, "at_s of split is -1"),
    ({"kind": "split", "person": 1, "at_s": None}, "at_s of split is None"),
    ({"kind": "contact", "person": 1, "point": "left_heel", "from_s": 3, "to_s": 2, "touches": True}, "before it"),
    ({"kind": "contact", "person": 1, "point": 3, "from_s": 3, "to_s": 4, "touches": True}, "point of contact is 3"),
    ({"kind": "contact", "person": 1, "point": "left_heel", "from_s": 3, "to_s": 4, "touches": 1}, "true or false"),
    ({"kind": "floor", "shot": 0}, "give either plane or points"),
    ({"kind": "floor", "shot": 0, "plane": [0, -1, 0, 1], "points": [[1, 2, 3]]}, "give either plane or points"),
    ({"kind": "floor", "shot": 0, "plane": [0, 0, 0, 1]}, "normal of length zero"),
    ({"kind": "floor", "shot": 0, "plane": [0, -1, 0]}, "give a list of 4 numbers"),
    ({"kind": "floor", "shot": 0, "points": [[1, 2, 3], [4, 5, 6]]}, "fewer than three different points"),
    ({"kind": "floor", "shot": 0, "points": [[1, 2, 3]] * 4}, "fewer than three different points"),
    ({"kind": "floor", "shot": 0, "points": [[1, 2], [4, 5], [7, 8]]}, "give a list of 3 numbers"),
    ({"kind": "closed_loop", "shot": 0.5}, "shot of closed_loop is 0.5"),
    ({"kind": "known_distance", "from": [1, 2], "to": [1, 2], "at_s": 0, "metres": 1}, "twice; give two different"),
    ({"kind": "known_distance", "from": [1, 2], "to": [3, 4], "at_s": 0, "metres": 0}, "metres of known_distance is 0"),
    ({"kind": "known_distance", "from_px": [1, 2], "to": [3, 4], "at_s": 0, "metres": 1}, "has no key 'from_px'"),
    ({"kind": "known_distance", "from": [1, 2], "to": [3, float("nan")], "at_s": 0, "metres": 1}, "to of known"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG_EDITS)))
def test_what_is_no_edit_is_one_sentence_with_its_number(number: int) -> None:
    item, said = WRONG_EDITS[number]
    with pytest.raises(InputError) as caught:
        parse_edits({"format": "unish-edits/1", "edits": [{"kind": "closed_loop", "shot": 0}, item]})
    assert str(caught.value).startswith("edit 2: ") and said in str(caught.value) and "\n" not in str(caught.value)
