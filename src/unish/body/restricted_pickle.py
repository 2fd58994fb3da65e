"""Read pickles of arrays (licensed SMPL models, ground truth of datasets) without running what is in them.

A pickle may name any function of any module and have it called. This reader resolves a short list of names that
arrays need and refuses every other one; chumpy, the library whose arrays the published files contain, is never
imported: a stub takes the place of its classes and only keeps the array inside.
"""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import sparse

from unish.errors import InputError


class StoredState:
    """Stands for a class of the file: keeps the state that was pickled, runs nothing."""

    state: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.state = state

    def to_array(self) -> np.ndarray:
        raise NotImplementedError


class ChumpyArray(StoredState):
    """Stands for any chumpy class."""

    def to_array(self) -> np.ndarray:
        """The values; chumpy's ``Ch`` keeps them under ``x``, its ``Select`` picks ``idxs`` from the array ``a``."""
        if "x" in self.state:
            return np.asarray(self.state["x"])
        if {"a", "idxs"} <= self.state.keys():
            source = self.state["a"]
            source = source.to_array() if isinstance(source, ChumpyArray) else np.asarray(source)
            picked = source.ravel()[np.asarray(self.state["idxs"])]
            return picked.reshape(self.state.get("preferred_shape", picked.shape))
        raise InputError("the SMPL file holds a chumpy expression instead of an array; convert the file to .npz first")


class SparseMatrix(StoredState):
    """Stands for scipy's csc, csr and coo matrices, which are built anew from the state."""

    layout: type = sparse.csc_matrix

    def to_array(self) -> np.ndarray:
        return np.asarray(self.to_sparse().todense())

    def to_sparse(self) -> sparse.csr_matrix:
        """The same matrix, for those that are too large to be dense."""
        return self.layout(self._parts(), shape=self.state.get("_shape", self.state.get("shape"))).tocsr()

    def _parts(self) -> tuple[Any, ...]:
        return self.state["data"], self.state["indices"], self.state["indptr"]


class CscMatrix(SparseMatrix):
    layout = sparse.csc_matrix


class CsrMatrix(SparseMatrix):
    layout = sparse.csr_matrix


class CooMatrix(SparseMatrix):
    layout = sparse.coo_matrix

    def _parts(self) -> tuple[Any, ...]:
        """Older scipy keeps ``row`` and ``col``, newer one ``coords``."""
        where = self.state["coords"] if "coords" in self.state else (self.state["row"], self.state["col"])
        return self.state["data"], where


def _encode_latin1(text: str, encoding: str) -> bytes:
    """The only call of ``codecs.encode`` that pickled arrays make: Python 2 strings of raw bytes."""
    if encoding != "latin1":
        raise InputError(f"the pickle asks for the codec {encoding!r}; only plain arrays are read")
    return codecs.encode(text, encoding)


def _make_no_bytes() -> bytes:
    """How Python 3 writes the contents of an empty array in old protocols."""
    return b""


def _make_stored_state(kind: type, *_: object) -> StoredState:
    """What old pickle protocols call to make an object; only the stand-ins of this module can be made."""
    if not issubclass(kind, StoredState):
        raise InputError(f"the pickle wants to make a {kind.__name__}; it was refused and nothing was run")
    return kind()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode_latin1,
    ("copy_reg", "_reconstructor"): _make_stored_state,
    ("copyreg", "_reconstructor"): _make_stored_state,
    ("__builtin__", "bytes"): _make_no_bytes,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    # Asked from arrays themselves, because numpy moved these two functions between versions.
    _ALLOWED[_module, "_reconstruct"] = np.zeros(1).__reduce__()[0]
    _ALLOWED[_module, "scalar"] = np.float64(0).__reduce__()[0]
_ALLOWED["numpy", "ndarray"] = np.ndarray
_ALLOWED["numpy", "dtype"] = np.dtype
for _module in ("numpy.core.numeric", "numpy._core.numeric"):
    # What protocol 5 calls; it only views bytes of the pickle as numbers.
    _ALLOWED[_module, "_frombuffer"] = np.zeros(1).__reduce_ex__(5)[0]
for _name, _class in (("csc", CscMatrix), ("csr", CsrMatrix), ("coo", CooMatrix)):
    for _module in (f"scipy.sparse.{_name}", f"scipy.sparse._{_name}"):
        _ALLOWED[_module, f"{_name}_matrix"] = _class
for _module, _name in (("chumpy.ch", "Ch"), ("chumpy", "Ch"), ("chumpy.reordering", "Select")):
    _ALLOWED[_module, _name] = ChumpyArray


class RestrictedUnpickler(pickle.Unpickler):
    """Resolves the names of ``_ALLOWED`` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise InputError(
                f"the pickle asks for {module}.{name}, which arrays do not need; it was refused and nothing was run"
            ) from None


def read_pickled_arrays(path: Path) -> dict[str, Any]:
    """The dictionary of a pickled SMPL model, every chumpy or sparse value as a plain array.

    Raises:
        InputError: not a pickle of a dictionary, or one that names anything but arrays.
    """
    content = read_pickled_state(path, wanted="give an SMPL model as .pkl or .npz")
    try:
        return {key: v.to_array() if isinstance(v, StoredState) else v for key, v in content.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: a broken array ({error!r}); give an SMPL model as .pkl or .npz") from None


def read_pickled_state(path: Path, *, wanted: str) -> dict[str, Any]:
    """The dictionary of a pickle of arrays and plain containers; sparse matrices stay ``SparseMatrix``.

    Args:
        wanted: what to do when the file is not that, for the message.

    Raises:
        InputError: no such file, not a pickle of a dictionary, or one that names anything but arrays.
    """
    try:
        with path.open("rb") as file:
            content = RestrictedUnpickler(file, encoding="latin1").load()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: not a readable pickle ({error}); {wanted}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: the pickle holds no dictionary; {wanted}")
    return {str(key): value for key, value in content.items()}
