"""Depth maps of a folder as a prior: which file belongs to which frame, in which unit, and what is unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unish.errors import InputError
from unish.network.depth_prior import PriorView
from unish.network.depth_prior.files import DepthFiles
from written_exr import write_exr


def make_view(
    indices: tuple[int, ...], *, num_dense: int = 9, names: tuple[str, ...] | None = None, first: int = 0,
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> PriorView:  # fmt: skip
    return PriorView(
        images=torch.zeros(len(indices), 3, 8, 12), intrinsics=None, picture_size=(8, 12), frame_indices=indices,
        positions=tuple(range(first, first + len(indices))), num_dense=num_dense, frame_names=names, part=part,
    )  # fmt: skip


def write(folder: Path, name: str, level: float, size: tuple[int, int] = (8, 12)) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / name, np.full(size, level, np.float32))


def levels(folder: Path, view: PriorView) -> list[float]:
    return DepthFiles(folder).estimate(view).values.flatten(1).median(1).values.tolist()


def test_files_belong_to_frames_by_name_then_in_order_then_by_number(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "all", f"frame_{number}.npy", 1.0 + number)
    assert levels(tmp_path / "all", make_view((0, 5, 10))) == [1, 6, 11]
    # As many as there are frames with depth: 9 comes before 10 and 11.
    assert levels(tmp_path / "all", make_view((50, 55, 60), num_dense=12, first=9)) == [10, 11, 12]
    write(tmp_path / "all", "kitchen.npy", 99.0)
    named = make_view((0, 1), names=("kitchen.jpg", "frame_3.png"))
    assert levels(tmp_path / "all", named) == [99, 4]
    with pytest.raises(InputError, match="none of its 13 depth maps belongs to frames 70 to 80"):
        levels(tmp_path / "all", make_view((70, 80)))


def test_formats_units_and_what_is_unknown(tmp_path: Path) -> None:
    depth = np.linspace(1, 5, 96, dtype=np.float32).reshape(8, 12)
    depth[0, :3] = 0, -1, np.nan
    Image.fromarray((np.nan_to_num(depth.clip(0)) * 1000).astype(np.uint16)).save(tmp_path / "0.png")
    np.save(tmp_path / "1.npy", depth)
    np.savez(tmp_path / "2.npz", other=depth * 7, depth=depth)
    write_exr(tmp_path / "3.exr", {"Z": depth})
    found = DepthFiles(tmp_path).estimate(make_view((0, 1, 2, 3), num_dense=4))
    assert found.kind == "metric" and not found.one_scale
    assert not found.known[:, 0, :3].any() and found.known.sum() == 4 * (96 - 3)
    expected = torch.from_numpy(depth)[1:].expand(4, 7, 12)
    torch.testing.assert_close(found.values[:, 1:], expected, atol=1e-3, rtol=0)


def test_sizes_may_differ_and_a_frame_without_a_file_is_unknown(tmp_path: Path) -> None:
    write(tmp_path, "0.npy", 2.0, (8, 12))
    write(tmp_path, "2.npy", 3.0, (16, 24))
    found = DepthFiles(tmp_path).estimate(make_view((0, 1, 2)))
    assert found.values.shape == (3, 16, 24) and found.known[[0, 2]].all() and not found.known[1].any()
    values, known = found.resized((4, 6))
    assert known[0].all() and not known[1].any() and (values[2] - 3).abs().max() < 1e-6


def test_bars_of_the_source_are_cut_off_the_maps_too(tmp_path: Path) -> None:
    depth = np.ones((20, 12), np.float32)
    depth[5:15] = 4.0
    np.save(tmp_path / "0.npy", depth)
    found = DepthFiles(tmp_path).estimate(make_view((0,), part=(0.25, 0.0, 0.75, 1.0)))
    assert found.values.shape == (1, 10, 12) and (found.values == 4).all()


def test_notes_say_what_the_numbers_are(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 12), 500, np.uint16)).save(tmp_path / "0.png")
    before = DepthFiles(tmp_path).fingerprint
    (tmp_path / "prior.json").write_text(
        json.dumps({"kind": "affine", "unit": 0.01, "one_scale": True, "licence": "CC0"})
    )
    prior = DepthFiles(tmp_path)
    found = prior.estimate(make_view((0,)))
    assert (found.kind, found.one_scale, prior.licence) == ("affine", True, "CC0")
    assert float(found.values[0, 0, 0]) == pytest.approx(5.0) and prior.fingerprint != before


@pytest.mark.parametrize(
    ("notes", "what"),
    [
        ("{", "not JSON"),
        ('{"kind": "relative"}', "metric, scale-free, affine"),
        ('{"scale": 2}', "it may say kind"),
        ('{"unit": 0}', "above 0"),
        ('{"one_scale": 1}', "true or false"),
        ("[]", "it may say kind"),
    ],
)
def test_notes_that_make_no_sense(tmp_path: Path, notes: str, what: str) -> None:
    write(tmp_path, "0.npy", 2.0)
    (tmp_path / "prior.json").write_text(notes)
    with pytest.raises(InputError, match=what):
        DepthFiles(tmp_path)


def test_folders_without_maps_and_broken_maps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        DepthFiles(tmp_path / "missing")
    with pytest.raises(InputError, match="holds no depth maps"):
        DepthFiles(tmp_path)
    (tmp_path / "0.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable depth map"):
        DepthFiles(tmp_path).estimate(make_view((0,)))
    np.save(tmp_path / "0.npy", np.ones((3, 8, 12)))
    with pytest.raises(InputError, match="rows and columns"):
        DepthFiles(tmp_path).estimate(make_view((0,)))
