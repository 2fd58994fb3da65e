"""Whom the user wants: by box, by point, by number; and what is said where nobody is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unish.cli import build_parser
from unish.errors import InputError
from unish.passes import RunFolder, describe_run
from unish.people import PeopleChoice, PeopleConfig
from unish.people.choice import choose_people
from unish.people.protocols import Observation, Pose
from unish.people.records import select_people
from unish.people.regions import Region
from unish.settings import Settings
from unish.structs import Clip

LEFT, RIGHT, LATE = 0, 1, 2


def _clip(num_frames: int = 12, **kept) -> Clip:
    """Six frames a second, of a source of twice the size."""
    return Clip(
        images=torch.zeros(num_frames, 100, 200, 3, dtype=torch.uint8),
        timestamps_s=torch.arange(num_frames, dtype=torch.float64) / 6,
        frame_indices=torch.arange(num_frames),
        segment=torch.zeros(num_frames, dtype=torch.int64),
        source_size=(200, 400),
        **kept,
    )


def _seen(x0: float, y0: float, x1: float, y1: float, mask: np.ndarray | None = None) -> Observation:
    pose = None
    if mask is not None:
        region = Region(x=(x0 + x1) / 2, y=(y0 + y1) / 2, side=max(x1 - x0, y1 - y0))
        marks = np.zeros((33, 3), np.float32)
        pose = Pose(px=marks, world=marks, score=1.0, region=region, next_region=region, mask=mask)
    return Observation(box_xyxy=np.array([x0, y0, x1, y1], float), score=1.0, appearance=np.full(72, 1 / 72), pose=pose)


def _people() -> dict[int, dict[int, Observation]]:
    """In clip pixels: one on the left and one on the right in the first six frames, one in the middle in the others."""
    return {
        LEFT: {t: _seen(20, 20, 50, 90) for t in range(6)},
        RIGHT: {t: _seen(120, 20, 150, 90) for t in range(6)},
        LATE: {t: _seen(80, 20, 110, 90) for t in range(6, 12)},
    }


def _choose(**given) -> list[int]:
    return list(choose_people(_people(), PeopleChoice(**given), _clip()))


def test_nothing_chosen_is_everybody() -> None:
    assert _choose() == [LEFT, RIGHT, LATE]


def test_points_and_boxes_are_in_source_pixels_and_seconds() -> None:
    assert _choose(points=[(70, 100, 0.5)]) == [LEFT]
    assert _choose(boxes=[(230, 30, 310, 190, 0.0)]) == [RIGHT]
    assert _choose(points=[(190, 100, 1.5), (70, 100, 0.0)], ids=[RIGHT]) == [LEFT, RIGHT, LATE]


def test_the_whole_video_of_a_person_is_kept() -> None:
    chosen = choose_people(_people(), PeopleChoice(points=[(70, 100, 0.5)]), _clip())
    assert sorted(chosen[LEFT]) == list(range(6))


def test_a_picture_inside_of_bars_is_found_in_the_source() -> None:
    # The clip shows the lower half of the source, so what is at 100 there is at 0 here.
    clip = _clip(source_area=(100.0, 0.0, 200.0, 200.0))
    assert list(choose_people(_people(), PeopleChoice(points=[(35, 155, 0.0)]), clip)) == [LEFT]
    np.testing.assert_allclose(clip.to_source(clip.from_source(np.array([35.0, 155.0]))), [35, 155])


def test_where_boxes_overlap_the_mask_and_then_the_middle_decides() -> None:
    left_half = np.zeros((8, 8), np.uint8)
    left_half[:, :4] = 255
    people = {5: {0: _seen(0, 0, 80, 80, left_half)}, 6: {0: _seen(20, 0, 100, 80)}}
    for x, who in ((30.0, 5), (75.0, 6), (55.0, 6)):
        assert list(choose_people(people, PeopleChoice(points=[(2 * x, 80.0, 0.0)]), _clip(1))) == [who]


def test_somebody_who_is_missed_for_a_moment_is_found_a_moment_before() -> None:
    people = _people()
    del people[LEFT][3]
    assert list(choose_people(people, PeopleChoice(points=[(70, 100, 0.5)]), _clip())) == [LEFT]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"points": [(4, 4, 0.0)]},
            "person at 4,4@0: nobody is there; at 0.00 s there are person 0 in 40,40,100,180, ",
        ),
        ({"points": [(70, 100, 9.0)]}, "at 1.83 s there is person 2 in 160,40,220,180"),
        ({"boxes": [(0, 0, 20, 20, 1.0)]}, "person box 0,0,20,20@1: nobody is there"),
        ({"ids": [1, 7]}, "person id 7: there are 0, 1, 2"),
    ],
)
def test_nobody_there_says_who_is_where(given: dict, said: str) -> None:
    with pytest.raises(InputError) as raised:
        _choose(**given)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_an_empty_frame_and_an_empty_video_say_so() -> None:
    people = {LATE: _people()[LATE]}
    with pytest.raises(InputError, match=r"at 0.00 s nobody is in view, only person 2 from 1.00 to 1.83 s"):
        choose_people(people, PeopleChoice(points=[(190, 100, 0.0)]), _clip())
    for choice in (PeopleChoice(points=[(1, 1, 0.0)]), PeopleChoice(ids=[0])):
        with pytest.raises(InputError, match="nobody was found in the video"):
            choose_people({}, choice, _clip())


def test_chosen_people_keep_the_numbers_that_everybody_has() -> None:
    people = {3: _people()[LEFT], 4: {0: _seen(0, 0, 9, 9)}, 5: _people()[RIGHT], 8: _people()[LATE]}
    config = PeopleConfig()
    everybody, said = select_people(people, _clip(), config, number_anew=True)
    assert list(everybody) == [0, 1, 2] and len(said) == 1
    chosen, _ = select_people(people, _clip(), config, PeopleChoice(ids=[2]), number_anew=True)
    assert list(chosen) == [2] and chosen[2] == people[8]
    one_of_two, _ = select_people(people, _clip(), PeopleConfig(max_people=1), PeopleChoice(ids=[5, 8]))
    assert len(one_of_two) == 1


def test_the_command_line_and_settings_understand_the_same() -> None:
    parse = build_parser().parse_args
    args = parse(
        [
            "reconstruct",
            "a.mp4",
            "--out",
            "b",
            "--person-at",
            "3,4@1.5",
            "--person-at",
            "5,6@0",
            "--person-box",
            "1,2,3,4@0.25",
            "--person-id",
            "2",
            "--fill-gaps",
            "0.5",
        ]
    )
    settings = Settings(
        person_at=args.person_at, person_box=args.person_box, person_id=args.person_id, fill_gaps=args.fill_gaps
    )
    assert settings.person_at == ((3, 4, 1.5), (5, 6, 0)) and settings.person_box == ((1, 2, 3, 4, 0.25),)
    assert settings.person_id == (2,) and settings.fill_gaps == 0.5


@pytest.mark.parametrize("text", ["1,2", "1@2", "1,2,3@4", "a,b@1", "1,2@-1", "1,2@nan", "@", "1,,2@3"])
def test_a_place_that_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="person-at"):
        build_parser().parse_args(["reconstruct", "a.mp4", "--out", "b", f"--person-at={text}"])


def test_nobody_can_be_chosen_of_no_people() -> None:
    with pytest.raises(InputError, match="people is 0"):
        Settings(person_id=[0], people=0)


def test_a_run_with_another_choice_keeps_what_was_observed(tmp_path: Path) -> None:
    source = tmp_path / "video.mp4"
    source.write_bytes(b"film")

    def begin(**settings) -> set[str]:
        folder = RunFolder(tmp_path / "work")
        folder.begin(describe_run(source, Settings(**settings), "weights", "body"))
        return {path.name for path in folder.folder.iterdir() if path.is_dir()}

    begin()
    for name in ("people", "images", "windows", "masks"):
        (tmp_path / "work" / name).mkdir()
    assert begin() == begin(fill_gaps=1.0) == {"people", "images", "windows", "masks"}
    assert begin(person_at=[(1, 2, 3)]) == {"people", "images"}
    (tmp_path / "work" / "windows").mkdir()
    assert begin(person_at=[(1, 2, 3)]) == {"people", "images", "windows"}
    assert begin(person_at=[(1, 2, 3)], fps=5.0) == set()
