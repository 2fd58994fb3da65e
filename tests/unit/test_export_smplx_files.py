"""Numbers for programs that have a licensed model: exact for SMPL, which has a shape space of its own in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_record import make_record
from small_smpl import make_smpl_arrays
from unish.body import Body, load_body
from unish.export.options import ExportOptions
from unish.export.smplx_files import write_amass, write_smplx
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams, Reconstruction

LEVEL = ExportOptions(fps=30.0, up="y", gravity=True)


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> Body:
    path = tmp_path_factory.mktemp("models") / "SMPL_NEUTRAL.npz"
    np.savez(path, **make_smpl_arrays(12, num_shapes=10))
    return load_body(path)


@pytest.fixture(scope="module")
def record(licensed: Body) -> Reconstruction:
    return make_record(licensed)


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_smpl_has_its_own_numbers(tmp_path: Path, record: Reconstruction, licensed: Body) -> None:
    """Given to SMPL, they are the body of the reconstruction, vertex by vertex, turned upright."""
    write_smplx(tmp_path / "smplx", record, licensed, LEVEL)
    data = {name: torch.from_numpy(values) for name, values in read(tmp_path / "smplx" / "person-4.npz").items()
            if values.dtype == np.float32}  # fmt: skip
    count = len(data["smpl_transl"])
    params = BodyParams(
        betas=data["smpl_betas"],
        global_orient=axis_angle_to_matrix(data["smpl_global_orient"]),
        body_pose=axis_angle_to_matrix(data["smpl_body_pose"].reshape(count, 23, 3)),
        transl=data["smpl_transl"],
    )
    expected = record.vertices(licensed)[1] @ np.diag([1.0, -1, -1]) + [0, 1.4, 0]
    np.testing.assert_allclose(licensed.vertices(params).numpy()[::5], expected, atol=2e-5)


def test_free_betas_are_given_to_no_other_body(tmp_path: Path) -> None:
    free = load_body("free")
    write_smplx(tmp_path / "smplx", make_record(free), free, LEVEL)
    assert not [name for name in read(tmp_path / "smplx" / "person-3.npz") if name.startswith("smpl_")]


def test_the_file_names_its_body_and_licence(tmp_path: Path, record: Reconstruction, licensed: Body) -> None:
    write_amass(tmp_path / "amass", record, licensed, LEVEL)
    data = read(tmp_path / "amass" / "person-3.npz")
    assert str(data["unish_body"]) == licensed.name and licensed.name in str(data["licence"])
    assert "contact_prob" not in data and str(data["up"]) == "y"


def test_gaps_are_marked(tmp_path: Path, record: Reconstruction, licensed: Body) -> None:
    """Frames 2 and 3 of the first person are not valid."""
    facts = write_amass(tmp_path / "amass", record, licensed, replace(LEVEL, up="z"))
    data = read(tmp_path / "amass" / "person-3.npz")
    np.testing.assert_array_equal(np.flatnonzero(~data["valid"]), np.arange(6, 20))
    assert all(np.isfinite(data[name]).all() for name in ("poses", "trans", "pelvis"))
    assert facts["people"][0]["gaps_frames"] == [[6, 19]] and facts["people"][1]["gaps_frames"] == []
