"""Who is who: persons that are merged, split and dropped, in a world of which everything is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edited_worlds import CUT, START_S, Settle, cut_in_two, seconds
from oracle_world import NUM_FRAMES, World
from unish.edits import Contact, Drop, Edit, Merge, PersonHeight, Split
from unish.passes import OBSERVATIONS, apply_edits, open_observations
from unish.people import describe_unread
from unish.pipeline import Result
from unish.reconstruction import REGIONS
from unish.structs import FrameArray, Reconstruction

pytestmark = pytest.mark.slow


def test_two_ids_become_one_person_with_one_shape(
    world: World, first: tuple[Path, Result], broken: Path, settle: Settle
) -> None:
    found, whole = settle(broken, Merge(persons=(12, 9))).reconstruction, first[1].reconstruction
    assert found.person_ids.tolist() == [4, 12] and found.betas.shape == (2, 10)
    np.testing.assert_array_equal(found.person_valid, world.tracks.valid.numpy())
    np.testing.assert_array_equal(found.person_masks, world.tracks.masks.numpy())
    for name in ("joints", "betas", "landmarks_px", "boxes_xyxy", "depth", "c2w", "contact_prob"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), atol=1e-4, err_msg=name)


def test_a_person_is_split_and_the_other_one_stays(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    found = settle(first[0], Split(person=9, at_s=seconds(CUT))).reconstruction
    assert found.person_ids.tolist() == [4, 9, 10]
    expected = cut_in_two(world).tracks
    np.testing.assert_array_equal(found.person_valid, expected.valid.numpy())
    np.testing.assert_array_equal(found.person_masks, expected.masks.numpy())
    np.testing.assert_allclose(found.joints[0], first[1].reconstruction.joints[0], atol=0.03)


def test_who_is_dropped_is_gone_and_their_pixels_are_scene(
    world: World, first: tuple[Path, Result], settle: Settle
) -> None:
    result = settle(first[0], Drop(person=4))
    found, masks = result.reconstruction, world.tracks.masks.numpy()
    assert found.person_ids.tolist() == [9] and [row["id"] for row in result.report["people"]] == [9]
    np.testing.assert_array_equal(found.person_masks, np.where(masks == 1, 0, -1))
    np.testing.assert_array_equal(found.person_valid[0], world.tracks.valid[1].numpy())
    nobody = settle(first[0], Drop(person=4), Drop(person=9))
    assert nobody.reconstruction.num_people == 0 and nobody.report["people"] == []
    assert (nobody.reconstruction.person_masks == -1).all() and (nobody.reconstruction.depth > 0).any()


def test_heights_and_contacts_go_with_the_person(broken: Path, settle: Settle) -> None:
    touches = Contact(person=12, point="left_toe", from_s=START_S, to_s=seconds(NUM_FRAMES), touches=False)
    edits = [PersonHeight(person=12, metres=1.5), touches, Merge(persons=(9, 12)), Drop(person=4)]
    result = settle(broken, *edits)
    (person,) = result.report["people"]
    assert person["id"] == 9 and person["height_m"] == pytest.approx(1.5, abs=1e-3)
    toe = result.reconstruction.contact_prob[0, :, REGIONS.index("left_toe")]
    assert (toe[CUT + 1 :] == 0).all() and not (toe[:CUT] == 0).any()


def test_missing_landmarks_are_told_of_the_people_that_there_are(broken: Path, tmp_path: Path) -> None:
    """Of ids 4, 9 and 12 the last has no landmarks: together with 9 they are missing in more than a quarter, too."""
    report = json.loads((broken / "report.json").read_text())
    pictures = FrameArray.like(Reconstruction.load(broken).images, lambda frame: pytest.fail("a picture was read"))
    run = open_observations(broken / OBSERVATIONS, pictures, report["observations"], tmp_path / "maps")
    px = run.seen.landmarks.px.clone()
    px[2] = torch.nan
    run = replace(run, seen=replace(run.seen, landmarks=replace(run.seen.landmarks, px=px)))

    def told(*edits: Edit) -> list[str]:
        seen = apply_edits(run, edits).seen
        return [text.split(" are missing")[0] for text in describe_unread(seen.tracks, seen.landmarks)]

    assert told() == ["landmarks of person 12"]
    assert told(Merge(persons=(9, 12))) == ["landmarks of person 9"]
    assert told(Drop(person=12)) == []
