"""What stands in the scene of the viewer and of its films: the ways of cameras and people, of one shot each."""

from __future__ import annotations

from unittest.mock import MagicMock

import numpy as np
import pytest
from scipy.spatial import cKDTree

from small_record import make_figure, make_record
from unish.viewer import fly_through
from unish.viewer.drawing import Drawing
from unish.viewer.path_lines import path_lines
from unish.viewer.record import SceneRecord, build_record

CENTIMETRE = 0.0101


@pytest.fixture(scope="module")
def record() -> SceneRecord:
    body = make_figure()
    return build_record(make_record(body, num_frames=12, num_shots=2), body, title="x", max_points=500)


def test_ways_are_drawn_of_each_shot_where_people_were_seen(record: SceneRecord) -> None:
    scene, timeline = MagicMock(), MagicMock()
    Drawing(record).begin(scene, timeline, lambda node: None)
    drawn = {call.args[0]: call.args[1] for call in timeline.add_line_segments.call_args_list}
    assert not scene.add_line_segments.called  # two shots take turns
    for number, shot in enumerate(record.shots):
        np.testing.assert_array_equal(drawn[f"/path/{number}"], path_lines(record.c2w[shot.steps, :3, 3]))
        assert len(drawn[f"/path/{number}"])
        for person in record.people:
            pelvis = person.joint_positions[shot.steps, 0].copy()
            pelvis[~person.shown[shot.steps]] = np.nan
            np.testing.assert_array_equal(
                drawn.get(f"/trails/{person.person_id}/shot {number}", np.zeros((0, 2, 3))), path_lines(pelvis)
            )
    assert sum(name.startswith("/trails/") for name in drawn) >= 3


def test_films_show_the_same_ways_without_holes(record: SceneRecord) -> None:
    shot = record.shots[1]
    camera, *people = fly_through._trails(record, shot)
    ways = [record.c2w[shot.steps, :3, 3]]
    ways += [one.joint_positions[shot.steps, 0][one.shown[shot.steps]] for one in record.people]
    for splats, way in zip((camera, *people), ways, strict=True):
        assert cKDTree(splats.xyz).query(way)[0].max() < CENTIMETRE + splats.side_m.max()
        apart = np.linalg.norm(np.diff(way, axis=0), axis=1).max()
        assert cKDTree(way).query(splats.xyz)[0].max() < apart / 2 + CENTIMETRE  # and nothing else
    steps = np.linalg.norm(np.diff(camera.xyz, axis=0), axis=1)
    assert steps.max() <= fly_through._LINE_STEP_M * 1.001
    assert np.linalg.norm(ways[0][-1] - ways[0][0]) > 0.2
