"""Body models and regressors that the user has to fetch: their owners let nobody else hand them out.

They lie in ``body_models/`` of a benchmark's data folder (a link to one shared folder will do):

- ``smpl/SMPL_MALE.pkl``, ``SMPL_FEMALE.pkl``, ``SMPL_NEUTRAL.pkl`` (or ``.npz``);
- ``smplx/SMPLX_MALE.npz``, ``SMPLX_FEMALE.npz``, ``SMPLX_NEUTRAL.npz``;
- ``smplx2smpl_deftrafo_setup.pkl``: vertices of SMPL-X → vertices of SMPL;
- ``J_regressor_h36m.npy``: vertices of SMPL → the 17 joints of Human3.6M.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from unish.body import Body, load_body
from unish.body.restricted_pickle import SparseMatrix, read_pickled_arrays, read_pickled_state
from unish.errors import InputError

FOLDER = "body_models"
_SMPL_SOURCE = "fetch SMPL for Python (version 1.1.0) from https://smpl.is.tue.mpg.de and rename its files"
_SMPLX_SOURCE = "fetch SMPL-X (version 1.1, npz) from https://smpl-x.is.tue.mpg.de"
_TRANSFER_SOURCE = "fetch 'Model correspondences' from https://smpl-x.is.tue.mpg.de/download.php"
_H36M_SOURCE = (
    "it comes with the data of SPIN (fetch_data.sh of https://github.com/nkolot/SPIN) and VIBE, for research only"
)


def find_body_file(data: Path, names: tuple[str, ...], source: str) -> Path:
    """The first of some names in the folder of body models.

    Raises:
        InputError: none is there; the message says what to put where, and where it comes from.
    """
    folder = data / FOLDER
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder / names[0]}: no such file; {source} and put it there")


def load_smpl(data: Path, gender: str) -> Body:
    """SMPL of a gender (``male``, ``female`` or ``neutral``).

    Raises:
        InputError: the file is missing or no SMPL model.
    """
    stem = f"smpl/SMPL_{gender.upper()}"
    return _load_once(find_body_file(data, (f"{stem}.pkl", f"{stem}.npz"), _SMPL_SOURCE))


def load_smpl_regressor(data: Path) -> Float[Tensor, "24 V"]:
    """Vertices of neutral SMPL → its 24 joints.

    Raises:
        InputError: neutral SMPL is missing or no SMPL model.
    """
    path = find_body_file(data, ("smpl/SMPL_NEUTRAL.pkl", "smpl/SMPL_NEUTRAL.npz"), _SMPL_SOURCE)
    if path.suffix == ".pkl":
        matrix = read_pickled_arrays(path).get("J_regressor")
    else:
        with np.load(path, allow_pickle=False) as file:
            matrix = dict(file).get("J_regressor")
    if matrix is None:
        raise InputError(f"{path}: holds no J_regressor; {_SMPL_SOURCE}")
    return torch.from_numpy(np.asarray(matrix, np.float64))


def find_neutral_smpl(data: Path) -> Path | None:
    """Neutral SMPL for the method to answer in, so that vertices can be compared; ``None`` where it is missing."""
    try:
        return find_body_file(data, ("smpl/SMPL_NEUTRAL.pkl", "smpl/SMPL_NEUTRAL.npz"), _SMPL_SOURCE)
    except InputError:
        return None


def find_smplx(data: Path, gender: str) -> Path:
    """The npz of SMPL-X of a gender.

    Raises:
        InputError: it is missing.
    """
    return find_body_file(data, (f"smplx/SMPLX_{gender.upper()}.npz",), _SMPLX_SOURCE)


def load_h36m_regressor(data: Path) -> Float[Tensor, "17 V"]:
    """Vertices of SMPL → the 17 joints of Human3.6M, of which 3DPW is scored on 14 (``metrics.regress_joints``).

    Raises:
        InputError: the file is missing or no such matrix.
    """
    path = find_body_file(data, ("J_regressor_h36m.npy",), _H36M_SOURCE)
    try:
        matrix = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable npy ({error}); fetch it again") from None
    if matrix.ndim != 2 or len(matrix) != 17:
        raise InputError(f"{path}: has shape {matrix.shape} in place of (17, vertices of SMPL); {_H36M_SOURCE}")
    return torch.from_numpy(matrix.astype(np.float64))


@lru_cache(maxsize=1)
def load_smplx_to_smpl(data: Path, num_vertices: int) -> sparse.csr_matrix:
    """(vertices of SMPL, ``num_vertices`` of SMPL-X), rows sum to 1.

    The published matrix has as many columns again for normals, which stay unused.

    Raises:
        InputError: the file is missing or holds no such matrix.
    """
    path = find_body_file(data, ("smplx2smpl_deftrafo_setup.pkl",), _TRANSFER_SOURCE)
    content = read_pickled_state(path, wanted=_TRANSFER_SOURCE)
    stored = content.get("mtx", content.get("matrix"))
    if stored is None:
        raise InputError(f"{path}: holds no mtx; {_TRANSFER_SOURCE}")
    matrix = stored.to_sparse() if isinstance(stored, SparseMatrix) else sparse.csr_matrix(np.atleast_2d(stored))
    if matrix.shape[1] < num_vertices:
        raise InputError(f"{path}: its matrix has {matrix.shape[1]} columns, SMPL-X {num_vertices} vertices")
    return matrix[:, :num_vertices]


@lru_cache(maxsize=3)
def _load_once(path: Path) -> Body:
    return load_body(path)
