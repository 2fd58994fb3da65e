"""Wrong types and values that a program hands over end in one sentence that says what is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest

import unish
from unish.body import load_body
from unish.errors import InputError
from unish.into_folder import reconstruct_into
from unish.settings import Settings
from unish.values import check_count, check_number, check_path

NO_NUMBERS: list[Any] = ["6", b"6", None, [6], (6,), {}, ..., True, math.nan, math.inf, 6j, "six", np.ones(2)]
NO_COUNTS: list[Any] = [*NO_NUMBERS, 1.5, 6.0, np.float32(6), -3, -1]
NO_PATHS: list[Any] = [None, 5, 1.5, b"a.mp4", ["a.mp4"], True, "", "a\0.mp4", ...]


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    """Without the checks of types that the tests switch on, which would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 10**400], ids=lambda value: repr(value)[:20])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(InputError, match=r"^depth is .*; give a number above 0$") as caught:
        check_number("depth", value, above=0)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120


def test_numbers_within_their_limits() -> None:
    for value in (2, 2.0, np.float32(2), np.int64(2), np.float64(2)):
        assert check_number("n", value, above=1, at_least=2) == 2.0 and type(check_number("n", value)) is float
        assert type(check_number("n", value)) is float
    for value in (2, np.int64(2), np.uint8(2)):
        assert check_count("n", value, at_least=2) == 2 and type(check_count("n", value, at_least=2)) is int
    for outside in (0, -1.5):
        with pytest.raises(InputError, match=f"n is {outside:g}; give a number above 0"):
            check_number("n", outside, above=0)
    with pytest.raises(InputError, match=r"n is -0.5; give a number, 0 or more"):
        check_number("n", -0.5, at_least=0)
    assert check_number("n", 0, at_least=0) == 0.0
    with pytest.raises(InputError, match="n is 1; give a whole number, 2 or more"):
        check_count("n", 1, at_least=2)


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_what_is_no_count(value: Any) -> None:
    with pytest.raises(InputError, match=r"^frames is .*; give a whole number, 0 or more$"):
        check_count("frames", value, at_least=0)


@pytest.mark.parametrize("value", NO_PATHS, ids=repr)
def test_what_is_no_path(value: Any) -> None:
    with pytest.raises(InputError, match=r"^the file (is .*give a path|holds a zero byte)"):
        check_path("the file", value)
    for read in (unish.read_clip, unish.reconstruct, unish.Reconstruction.load, unish.UniSH.from_pretrained, load_body):
        with pytest.raises(InputError):
            read(value)  # type: ignore[operator]


@pytest.mark.parametrize("value", ["", "a\0b"], ids=repr)
def test_what_is_no_folder_for_results(value: str) -> None:
    with pytest.raises(InputError, match=r"^the folder for the results (is .*give a path|holds a zero byte)"):
        reconstruct_into("film.mp4", value, settings=Settings())


def test_paths_of_both_kinds() -> None:
    assert check_path("the file", "a/b.mp4") == Path("a/b.mp4") == check_path("the file", Path("a/b.mp4"))


WRONG_SETTINGS: dict[str, list[Any]] = {
    "fps": [*NO_NUMBERS, 0, -1],
    "scene_fps": [*NO_NUMBERS, 0, -1],
    "source_fps": [0, -1, "30", math.nan, [30]],
    "start": [-1, "0", math.inf, [0]],
    "end": [-1, 0, "9", math.nan],
    "size": [*(value for value in NO_COUNTS if value is not None), 31, 0],
    "max_frames": [0, -1, 1.5, "3", True],
    "people": [-1, 1.5, "all", True],
    "person_box": [3, None, "box", [(0, 0, 1, 1)], [(3, 0, 1, 9, 0)], [(0, 0, 0, 9, 0)], [(0, 0, 9, 9, -1)], [5]],
    "person_at": [3, None, "box", [(1, 2)], [(1, 2, -1)], [(1, math.nan, 1)], [("1", 2, 3)], (1, 2, 3)],
    "person_id": [3, None, "2", [1.5], [-1], [None]],
    "fill_gaps": [*NO_NUMBERS, -1],
    "window": [*NO_COUNTS, 0],
    "overlap": [*NO_COUNTS, 30, 31],
    "seed": [*NO_COUNTS],
    "device": ["gpu", "CUDA", "", None, 0],
    "sky": [None, 0, 1, "yes"],
    "settle": [None, 0, 1, "off"],
    "person_points": [None, 0, 1, "off"],
    "blur_faces": [None, 0, 1, "yes"],
    "keep_observations": [None, 0, 1, "off"],
    "fast": [None, 0, 1, "yes"],
    "title": ["", " ", 3, ["walk"]],
    "refine_cameras": [None, 0, 1, "yes"],
    "camera_unit": ["feet", "", 1, ["m"]],
    "cameras": [value for value in NO_PATHS if value is not None],
    "model": NO_PATHS,
    "body": NO_PATHS,
    "tracks": [value for value in NO_PATHS if value is not None],
    "intrinsics": [500, "500,500,160,120", (500, 500, 160), (0, 500, 160, 120), (500, -1, 160, 120), (500, 500, 0, 120),
                   (500, 500, 160, math.nan), (500, 500, 160, None), np.eye(3), np.eye(4)],
    "fov": [0, -60, 0.5, 180, 360, "60", math.nan, [60]],
    "focal_35mm": [0, -26, 0.5, "26", math.inf, [26]],
    "person_height": [1.72, [1.72], (0, 1.72), {0: 0.3}, {0: 172}, {0: "1.72"}, {0: None}, {-1: 1.72}, {"0": 1.72}],
    "known_distance": [2.0, (1, 2, 3, 4, 0, 2), [(1, 2, 3, 4, 0)], [(1, 2, 3, 4, 0, 0)], [(1, 2, 3, 4, -1, 2)],
                       [(1, 2, 1, 2, 0, 2)], [(1, 2, "3", 4, 0, 2)], [(1, 2, math.nan, 4, 0, 2)], "1,2,3,4@0=2"],
    **{name: [None, 3, "", "midas", [1], "files"] for name in ("depth_prior", "people_detector", "keypoints", "masks")},
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_wrong_settings(name: str) -> None:
    for value in WRONG_SETTINGS[name]:
        with pytest.raises(InputError) as caught:
            Settings(**{name: value})
        assert "\n" not in str(caught.value) and "; " in str(caught.value), value
        said = str(caught.value)
        assert name.replace("_", " ") in said or (name == "intrinsics" and said[:2] in ("fx", "fy", "cx", "cy")), said


def test_every_setting_is_checked() -> None:
    assert set(WRONG_SETTINGS) == set(Settings.__dataclass_fields__)


def test_a_span_must_hold_something() -> None:
    for start, end in ((5.0, 5.0), (5, 2), (None, 0)):
        with pytest.raises(InputError, match=r"start \(. s\) is not before end \(. s\)"):
            Settings(start=start, end=end)
        with pytest.raises(InputError, match="is not before"):
            unish.read_clip("a.mp4", start=start, end=end)


def test_two_words_for_one_thing_are_one_sentence() -> None:
    for both in (
        {"intrinsics": (500, 500, 160, 120), "fov": 60.0},
        {"intrinsics": (500, 500, 160, 120), "focal_35mm": 26},
        {"fov": 60.0, "focal_35mm": 26},
        {"person_height": {0: 1.72}, "known_distance": [(1, 2, 3, 4, 0, 2)]},
    ):
        with pytest.raises(InputError, match="give one of them"):
            Settings(**both)


def test_usual_values_of_other_types_are_taken() -> None:
    settings = Settings(
        fps=np.float64(6), size=np.int64(320), tracks="tracks.npz", intrinsics=[500, 500.0, np.float32(160), 120]
    )
    assert settings.tracks == Path("tracks.npz") and settings.intrinsics == (500.0, 500.0, 160.0, 120.0)
    sizes = Settings(person_height={np.int64(3): np.float32(1.5)}), Settings(known_distance=[[1, 2, 3, 4, 0, 2]])
    assert (sizes[0].person_height, sizes[1].known_distance) == ({3: 1.5}, ((1, 2, 3, 4, 0, 2),))
    assert Settings(intrinsics=np.array([500, 500, 160, 120])).intrinsics == settings.intrinsics


@pytest.mark.parametrize(
    "option",
    [{"fps": "6"}, {"fps": 0}, {"source_fps": "30"}, {"start": "1"}, {"end": -1}, {"max_frames": 0},
     {"max_frames": 2.5}, {"long_side": 31}, {"long_side": "640"}, {"long_side": None}],
    ids=repr,
)  # fmt: skip
def test_wrong_options_of_the_reader(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(option)).replace("_", " ")):
        unish.read_clip("a.mp4", **option)
