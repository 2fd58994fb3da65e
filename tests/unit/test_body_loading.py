"""Licensed SMPL files: read without chumpy, without running anything, and with clear refusals."""

from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from small_smpl import make_smpl_arrays
from unish.body import LANDMARK_NAMES, Body, load_body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return make_smpl_arrays()


@pytest.fixture
def fake_chumpy(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module that pickles like chumpy; it is gone again when the file is read."""
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", package)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return module


def write_pickle(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def same_body(first: Body, second: Body) -> None:
    for name in ("template", "shape_directions", "joint_template", "skin_weights", "pose_directions", "faces"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name))


def test_npz_and_pickle_give_the_same_body(
    tmp_path: Path, arrays: dict[str, np.ndarray], fake_chumpy: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **arrays)
    content: dict[str, object] = {**arrays, "bs_style": "lbs"}
    content["shapedirs"] = fake_chumpy.Ch(arrays["shapedirs"])
    content["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    path = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", content)
    monkeypatch.delitem(sys.modules, "chumpy.ch")
    monkeypatch.delitem(sys.modules, "chumpy")
    from_pickle, from_npz = load_body(path), load_body(tmp_path / "SMPL_NEUTRAL.npz")
    same_body(from_pickle, from_npz)
    assert from_npz.num_betas == 10 and from_npz.name == "SMPL_NEUTRAL.npz"
    assert "chumpy" not in sys.modules


def test_pose_correctives_are_those_of_smpl(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "smpl.npz", **arrays)
    body = load_body(tmp_path / "smpl.npz")
    pose = axis_angle_to_matrix(0.5 * torch.randn(23, 3, generator=torch.Generator().manual_seed(0)))
    params = BodyParams(betas=torch.zeros(10), global_orient=torch.eye(3), body_pose=pose, transl=torch.zeros(3))
    features = (pose.double().numpy() - np.eye(3)).reshape(207)
    corrected = torch.from_numpy(arrays["v_template"] + arrays["posedirs"] @ features).float()
    plain = Body(**{**vars(body), "template": corrected, "pose_directions": None})
    torch.testing.assert_close(body.vertices(params), plain.vertices(params), atol=1e-5, rtol=0)


def test_licensed_body_has_landmarks_and_contacts(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "smpl.npz", **arrays)
    body, free = load_body(tmp_path / "smpl.npz"), load_body()
    params = BodyParams(
        betas=torch.zeros(10),
        global_orient=torch.eye(3),
        body_pose=torch.eye(3).expand(23, 3, 3),
        transl=torch.zeros(3),
    )
    off = (body.landmarks(params) - free.landmarks(params)).norm(dim=-1)
    face = [i for i, name in enumerate(LANDMARK_NAMES) if i <= 10]
    assert off[face].max() < 0.02, "geometric face landmarks agree with the exact ones to two centimetres"
    assert off[[29, 30, 31, 32]].max() < 0.03 and off[17:23].max() < 0.05
    assert body.contact_vertices.keys() == free.contact_vertices.keys()
    assert all(len(indices) > 0 for indices in body.contact_vertices.values())


class RunsCode:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.target}",)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    path = write_pickle(tmp_path / "evil.pkl", {"v_template": RunsCode(trace)})
    with pytest.raises(InputError, match=r"posix\.system|nt\.system"):
        load_body(path)
    assert not trace.exists()


@pytest.mark.parametrize("value", [eval, np.load, np.testing.assert_equal, types.SimpleNamespace(a=1)])
def test_other_names_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match="refused"):
        load_body(write_pickle(tmp_path / "odd.pkl", {"v_template": value}))


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("posedirs", lambda a: None, "posedirs missing"),
        ("weights", lambda a: a[:, :20], "weights has shape"),
        ("shapedirs", lambda a: a[..., :4], "shapedirs has shape"),
        ("kintree_table", lambda a: a[:, ::-1], "SMPL-H"),
        ("f", lambda a: np.array(3), "f has shape"),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, arrays: dict[str, np.ndarray], key, change, words: str) -> None:
    changed = {**arrays, key: change(arrays[key])}
    np.savez(tmp_path / "smpl.npz", **{k: v for k, v in changed.items() if v is not None})
    with pytest.raises(InputError, match=words) as caught:
        load_body(tmp_path / "smpl.npz")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.pkl").write_text("no pickle")
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "body.obj").write_text("v 0 0 0")
    write_pickle(tmp_path / "list.pkl", [1, 2])
    for name, words in (
        ("text.pkl", "not a readable pickle"), ("text.npz", "not a readable npz"), ("body.obj", "unknown kind"),
        ("list.pkl", "no dictionary"), ("absent.pkl", "no such body model"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            load_body(tmp_path / name)


def test_old_protocols_and_selections_are_read(
    tmp_path: Path, arrays: dict[str, np.ndarray], fake_chumpy: types.ModuleType
) -> None:
    content = {**arrays, "posedirs": fake_chumpy.Ch(arrays["posedirs"])}
    content["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(content, protocol=0))
    np.savez(tmp_path / "smpl.npz", **arrays)
    same_body(load_body(tmp_path / "old.pkl"), load_body(tmp_path / "smpl.npz"))


def test_chumpy_expressions_are_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], fake_chumpy: types.ModuleType
) -> None:
    odd = fake_chumpy.Ch(arrays["weights"])
    odd.__dict__ = {"a": 1, "b": 2}
    path = write_pickle(tmp_path / "odd.pkl", {**arrays, "weights": odd})
    with pytest.raises(InputError, match="expression"):
        load_body(path)
