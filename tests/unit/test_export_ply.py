"""Point clouds, read back by trimesh and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from golden_record import make_golden, reliable_pixels
from small_record import make_figure, make_record
from unish.export.ply import write_ply
from unish.export.points import choose_points
from unish.structs import Reconstruction


@pytest.fixture(scope="module")
def golden() -> Reconstruction:
    return make_golden(make_figure())


def test_everything_comes_back(tmp_path: Path, golden: Reconstruction) -> None:
    """Places, colours, confidence, people, frames and shots of all reliable pixels, in order."""
    depth = golden.depth.copy()
    depth[:, 30:34, 30:34] = 0.0
    record = replace(golden, depth=depth)
    write_ply(tmp_path / "scene.ply", record, make_figure())
    cloud = trimesh.load(tmp_path / "scene.ply")
    keep = np.stack([reliable_pixels(record, frame) for frame in range(8)])
    assert 0.3 < keep.mean() < 0.95
    np.testing.assert_allclose(cloud.vertices, record.world_points()[keep], atol=3e-6)
    np.testing.assert_array_equal(np.asarray(cloud.colors)[:, :3], record.images[keep])
    data = cloud.metadata["_ply_raw"]["vertex"]["data"]
    np.testing.assert_array_equal(data["confidence"], record.point_conf[keep].astype(np.float32))
    np.testing.assert_array_equal(data["person"], np.array([3, 4, -1])[record.person_masks[keep]])
    frames = np.nonzero(keep)[0]
    np.testing.assert_array_equal(data["frame"], frames)
    np.testing.assert_array_equal(data["segment"], record.segment[frames])


def test_the_header_names_and_types(tmp_path: Path, golden: Reconstruction) -> None:
    write_ply(tmp_path / "scene.ply", golden, make_figure(), max_points=100)
    header, _, content = (tmp_path / "scene.ply").read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "comment metres; OpenCV axes of the first camera"]
    for line, plane, segment in zip(lines[3:5], golden.floor, (0, 1), strict=True):
        words, numbers = line.split(": ")
        assert words == f"comment floor of segment {segment}"
        np.testing.assert_allclose([float(number) for number in numbers.split()], plane, rtol=1e-6)
    count = int(lines[5].removeprefix("element vertex "))
    assert lines[6:] == [
        *(f"property float {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "property float confidence",
        *(f"property int {name}" for name in ("person", "frame", "segment")),
    ]
    assert len(content) == 31 * count and 90 <= count <= 100


def test_the_number_of_points_is_bounded_and_repeatable(golden: Reconstruction) -> None:
    """Every frame has its share, drawn from all over the picture."""
    first, second = (choose_points(golden, max_points=803) for _ in range(2))
    np.testing.assert_array_equal(np.bincount(first.frame), [100] * 8)
    np.testing.assert_array_equal(first.xyz, second.xyz)
    whole = choose_points(golden, max_points=10**9)
    for frame in range(8):
        some, every = first.xyz[first.frame == frame], whole.xyz[whole.frame == frame]
        assert len(np.unique(some, axis=0)) == 100
        middles = [np.median(part, axis=0) for part in (some, every)]
        np.testing.assert_allclose(middles[0], middles[1], atol=0.8)  # of a picture some 6 m wide
    assert len(choose_points(golden, max_points=3).xyz) == 8  # one each, when there is room for less


def test_no_points(tmp_path: Path) -> None:
    record = make_record(make_figure(), num_people=0)
    write_ply(tmp_path / "empty.ply", replace(record, depth=np.zeros_like(record.depth)), make_figure())
    assert b"element vertex 0" in (tmp_path / "empty.ply").read_bytes()
