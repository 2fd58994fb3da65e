"""Point clouds, read back by trimesh and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from small_record import make_figure, make_record
from unish.export import write_ply
from unish.export.points import choose_points


def test_read_by_trimesh(tmp_path: Path) -> None:
    record = make_record(make_figure())
    write_ply(tmp_path / "scene.ply", record)
    cloud = trimesh.load(tmp_path / "scene.ply")
    chosen = choose_points(record, max_points=2_000_000, keep_people=True)
    np.testing.assert_array_equal(np.asarray(cloud.vertices, np.float32), chosen.xyz)
    np.testing.assert_array_equal(np.asarray(cloud.colors)[:, :3], chosen.colours)
    data = cloud.metadata["_ply_raw"]["vertex"]["data"]
    assert set(np.unique(data["person"])) == {-1, 3}
    np.testing.assert_array_equal(data["frame"], chosen.frame)


def test_points_are_those_of_the_record() -> None:
    record = make_record(make_figure())
    chosen = choose_points(record, max_points=10**9, keep_people=True)
    world = record.world_points()
    first = chosen.xyz[chosen.frame == 1]
    keep = np.abs(world[1][None] - first[:, None, None]).max(axis=-1).reshape(len(first), -1).min(axis=1)
    assert keep.max() < 1e-4 and len(first) > 500
    assert (choose_points(record, max_points=10**9, keep_people=False).person == -1).all()


def test_the_number_of_points_is_bounded_and_repeatable() -> None:
    record = make_record(make_figure())
    first, second = (choose_points(record, max_points=600, keep_people=True) for _ in range(2))
    assert len(first.xyz) <= 600 and set(first.frame.tolist()) == set(range(6))
    np.testing.assert_array_equal(first.xyz, second.xyz)


def test_no_points(tmp_path: Path) -> None:
    from dataclasses import replace

    record = make_record(make_figure(), num_people=0)
    write_ply(tmp_path / "empty.ply", replace(record, depth=np.zeros_like(record.depth)))
    assert b"element vertex 0" in (tmp_path / "empty.ply").read_bytes()
