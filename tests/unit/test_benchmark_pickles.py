"""Ground truth that comes as a pickle: arrays and plain containers, old and new, and nothing that could run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from unish.body.restricted_pickle import SparseMatrix, read_pickled_state
from unish.errors import InputError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    content = {
        "name": "P0", "valid": np.array([True, False]), "count": 3, "flag": np.bool_(True), "none": None,
        "nested": {"turned": np.arange(6.0).reshape(2, 3).T, "list": [np.float32(1.5), (1, "a")],
                   "empty": np.zeros((0, 4))},
    }  # fmt: skip
    path = tmp_path / "truth.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = read_pickled_state(path, wanted="fetch it again")
    assert read["name"] == "P0" and read["count"] == 3 and bool(read["flag"]) and read["none"] is None
    np.testing.assert_array_equal(read["valid"], content["valid"])
    np.testing.assert_array_equal(read["nested"]["turned"], content["nested"]["turned"])
    assert read["nested"]["list"] == [1.5, (1, "a")] and read["nested"]["empty"].shape == (0, 4)


@pytest.mark.parametrize("layout", [sparse.csc_matrix, sparse.csr_matrix, sparse.coo_matrix])
def test_sparse_matrices_stay_sparse(tmp_path: Path, layout: type) -> None:
    matrix = sparse.random(7, 5, density=0.3, random_state=0)
    path = tmp_path / "transfer.pkl"
    path.write_bytes(pickle.dumps({"mtx": layout(matrix)}, protocol=4))
    stored = read_pickled_state(path, wanted="fetch it again")["mtx"]
    assert isinstance(stored, SparseMatrix) and sparse.issparse(stored.to_sparse())
    np.testing.assert_array_equal(stored.to_sparse().toarray(), matrix.toarray())
    np.testing.assert_array_equal(stored.to_array(), matrix.toarray())


def test_older_sparse_matrices(tmp_path: Path) -> None:
    """scipy kept rows and columns of coo matrices by these names for many years."""
    matrix = sparse.coo_matrix(np.eye(3)[:2])
    matrix.__dict__.pop("coords", None)
    matrix.__dict__.update(row=np.arange(2), col=np.arange(2))
    path = tmp_path / "transfer.pkl"
    path.write_bytes(pickle.dumps({"mtx": matrix}, protocol=2))
    assert read_pickled_state(path, wanted="")["mtx"].to_array().tolist() == [[1, 0, 0], [0, 1, 0]]


class RunsCode:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.target}",)


def test_code_is_refused_and_what_is_wanted_is_said(tmp_path: Path) -> None:
    path = tmp_path / "truth.pkl"
    path.write_bytes(pickle.dumps({"smpl": {"betas": RunsCode(tmp_path / "ran")}}))
    with pytest.raises(InputError, match=r"system.*refused"):
        read_pickled_state(path, wanted="fetch EMDB again")
    assert not (tmp_path / "ran").exists()
    for content in (b"no pickle", pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"truth\.pkl.*fetch EMDB again"):
            read_pickled_state(path, wanted="fetch EMDB again")
    with pytest.raises(InputError, match=r"absent\.pkl.*fetch EMDB again"):
        read_pickled_state(tmp_path / "absent.pkl", wanted="fetch EMDB again")
