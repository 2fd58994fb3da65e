"""Edits of a finished result: what a user corrects in it, as records and as a file.

A list of edits is always the complete list against the first run. An edit means the people as the edits before it leave
them; of two edits that say the same thing, the later one holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from unish.errors import InputError
from unish.io import as_tuples
from unish.settings import HEIGHT_M
from unish.values import check_count, check_number, check_path, shorten

FORMAT = "unish-edits/1"

Point = tuple[float, float]
"""(x, y) in pixels of the source."""


@dataclass(frozen=True, kw_only=True)
class PersonHeight:
    """The standing height of a person, ``metres``."""

    kind: ClassVar[str] = "person_height"
    person: int
    metres: float

    def __post_init__(self) -> None:
        _check_person(self, self.person)
        low, high = HEIGHT_M
        check_number(f"metres of {self.kind}", self.metres, at_least=low, at_most=high)


@dataclass(frozen=True, kw_only=True)
class Merge:
    """These ``persons`` are one; the first id stays."""

    kind: ClassVar[str] = "merge"
    persons: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "persons", tuple(_check_list(self, "persons", self.persons)))
        for person in self.persons:
            _check_person(self, person)
        if len(set(self.persons)) != len(self.persons) or len(self.persons) < 2:
            raise InputError(f"persons of merge is {list(self.persons)}; give two or more different ids")


@dataclass(frozen=True, kw_only=True)
class Split:
    """At and after ``at_s`` it is somebody else, whose id is one above the highest that has been in use."""

    kind: ClassVar[str] = "split"
    person: int
    at_s: float

    def __post_init__(self) -> None:
        _check_person(self, self.person)
        check_number("at_s of split", self.at_s, at_least=0)


@dataclass(frozen=True, kw_only=True)
class Drop:
    """The ``person`` is left out, and what their pixels show is scene."""

    kind: ClassVar[str] = "drop"
    person: int

    def __post_init__(self) -> None:
        _check_person(self, self.person)


@dataclass(frozen=True, kw_only=True)
class Contact:
    """From ``from_s`` to ``to_s`` a ``point`` of the ``person`` (``contact_names``) ``touches`` the ground, or not."""

    kind: ClassVar[str] = "contact"
    person: int
    point: str
    from_s: float
    to_s: float
    touches: bool

    def __post_init__(self) -> None:
        _check_person(self, self.person)
        if not isinstance(self.point, str):
            raise InputError(f"point of contact is {shorten(self.point)}; give a name, for instance left_heel")
        check_number("from_s of contact", self.from_s, at_least=0)
        if check_number("to_s of contact", self.to_s, at_least=0) < self.from_s:
            raise InputError(f"contact ends ({self.to_s:g} s) before it begins ({self.from_s:g} s); swap them")
        if not isinstance(self.touches, bool):
            raise InputError(f"touches of contact is {shorten(self.touches)}; give true or false")


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The floor of a ``shot``; exactly one of ``plane`` and ``points`` is given.

    Attributes:
        plane: n·x + d = 0 in the finished world of the shot, metres, n up; of any length but zero.
        points: (x, y, t), three or more source pixels at t seconds that show the floor.
    """

    kind: ClassVar[str] = "floor"
    shot: int
    plane: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, float], ...] | None = None

    def __post_init__(self) -> None:
        check_count("shot of floor", self.shot, at_least=0)
        if (self.plane is None) == (self.points is None):
            raise InputError("floor says where it is twice, or not at all; give either plane or points")
        if self.plane is not None:
            numbers = _check_numbers("plane of floor", self.plane, 4)
            if not any(numbers[:3]):
                raise InputError("plane of floor has a normal of length zero; give [nx, ny, nz, d] with n up")
            object.__setattr__(self, "plane", numbers)
        if self.points is not None:
            points = tuple(
                _check_numbers("a point of floor", one, 3) for one in _check_list(self, "points", self.points)
            )
            if len(set(points)) < 3:
                raise InputError("floor has fewer than three different points; give three or more [x, y, seconds]")
            object.__setattr__(self, "points", points)


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """The camera of a ``shot`` ends where it began: its last pose is its first one."""

    kind: ClassVar[str] = "closed_loop"
    shot: int

    def __post_init__(self) -> None:
        check_count("shot of closed_loop", self.shot, at_least=0)


@dataclass(frozen=True, kw_only=True)
class KnownDistance:
    """What two source pixels show ``at_s`` seconds into the video is ``metres`` apart.

    In files the pixels are called ``from`` and ``to``.
    """

    kind: ClassVar[str] = "known_distance"
    from_px: Point
    to_px: Point
    at_s: float
    metres: float

    def __post_init__(self) -> None:
        for name in ("from_px", "to_px"):
            end = _check_numbers(f"{name.removesuffix('_px')} of known_distance", getattr(self, name), 2)
            object.__setattr__(self, name, end)
        if self.from_px == self.to_px:
            raise InputError(f"known_distance names pixel {list(self.from_px)} twice; give two different ones")
        check_number("at_s of known_distance", self.at_s, at_least=0)
        check_number("metres of known_distance", self.metres, above=0)


Edit = PersonHeight | Merge | Split | Drop | Contact | Floor | ClosedLoop | KnownDistance
KINDS: dict[str, type[Edit]] = {
    one.kind: one for one in (PersonHeight, Merge, Split, Drop, Contact, Floor, ClosedLoop, KnownDistance)
}
_OPTIONAL = {"plane", "points"}
_NAME_IN_FILE = {"from_px": "from", "to_px": "to"}


def read_edits(path: str | Path) -> tuple[Edit, ...]:
    """The edits of a JSON file.

    Raises:
        InputError: it cannot be read, or says something that is no edit; the message says where.
    """
    path = check_path("the edits", path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file of edits") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not readable as JSON; docs/refine.md shows what a file of edits holds") from None
    try:
        return parse_edits(found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_edits(content: object) -> tuple[Edit, ...]:
    """The edits that the content of a file says.

    Raises:
        InputError: see ``read_edits``.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("edits"), list):
        raise InputError(f'it has no list of edits; give {{"format": "{FORMAT}", "edits": […]}}')
    if content.get("format") != FORMAT:
        raise InputError(f"its format is {shorten(content.get('format'))}; this version reads {FORMAT!r}")
    edits = []
    for number, item in enumerate(content["edits"], start=1):
        try:
            edits.append(_parse(item))
        except InputError as error:
            raise InputError(f"edit {number}: {error}") from None
    return tuple(edits)


def describe_edits(edits: Sequence[Edit]) -> dict[str, Any]:
    """What a file says of these edits; the inverse of ``parse_edits``."""
    return {"format": FORMAT, "edits": [_describe(edit) for edit in edits]}


def _parse(item: object) -> Edit:
    if not isinstance(item, Mapping):
        raise InputError(f'this is {shorten(item)}; give an object such as {{"kind": "drop", "person": 3}}')
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"the kind {shorten(kind)} is not known; give one of {', '.join(KINDS)}")
    record = KINDS[kind]
    keys = {_NAME_IN_FILE.get(name, name): name for name in (one.name for one in fields(record))}
    given = {key: value for key, value in item.items() if key != "kind"}
    if unknown := sorted(given.keys() - keys):
        raise InputError(f"{kind} has no key {', '.join(map(repr, unknown))}; its keys are {', '.join(keys)}")
    if missing := sorted(key for key, name in keys.items() if key not in given and name not in _OPTIONAL):
        raise InputError(f"{kind} lacks {', '.join(map(repr, missing))}; add it")
    return record(**{keys[key]: as_tuples(value) for key, value in given.items()})


def _describe(edit: Edit) -> dict[str, Any]:
    said = {_NAME_IN_FILE.get(name, name): value for name, value in vars(edit).items() if value is not None}
    return {"kind": edit.kind} | json.loads(json.dumps(said))


def _check_person(edit: Edit, value: object) -> None:
    check_count(f"a person of {edit.kind}", value, at_least=0)


def _check_list(edit: Edit, name: str, value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{name} of {edit.kind} is {shorten(value)}; give a list")
    return value


def _check_numbers(name: str, value: object, count: int) -> Any:
    """So many finite numbers."""
    if not isinstance(value, list | tuple) or len(value) != count:
        raise InputError(f"{name} is {shorten(value)}; give a list of {count} numbers")
    return tuple(check_number(name, one) for one in value)
