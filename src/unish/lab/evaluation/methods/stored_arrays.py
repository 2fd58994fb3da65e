"""Arrays from the files that other people's programs leave behind, without running anything that is in them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from unish.body.restricted_pickle import RestrictedUnpickler, StoredState
from unish.errors import InputError


def read_arrays(path: Path, keys: Iterable[str] | None = None) -> dict[Any, Any]:
    """The dictionary in a file, nested as it was stored, every tensor as an array.

    Args:
        path: ``.npz``; ``.npy`` that holds a dictionary; ``.pt``, ``.pth`` or ``.ckpt`` of torch; ``.pkl`` or
            ``.pickle`` of pickle or of joblib without compression. Pickled files may hold numbers, text, lists,
            dictionaries, NumPy arrays and torch tensors; the name of anything else is refused before it is looked up.
        keys: of an ``.npz``, the arrays that are read; the rest may be anything.

    Raises:
        InputError: missing, of another kind, unreadable, or one that asks for code.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = _READERS[path.suffix.lower()](path, keys)
    except KeyError:
        raise InputError(f"{path}: unknown kind of file; give one of {', '.join(_READERS)}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not readable ({type(error).__name__}: {reason}); write it again as .npz") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no dictionary of arrays; write it again as .npz")
    return content


class JoblibArray(StoredState):
    """Stands for joblib's wrapper, which is followed in the file by the bytes of its array."""

    file: BinaryIO

    def __setstate__(self, state: object) -> None:
        super().__setstate__(state)
        dtype, shape = np.dtype(self.state["dtype"]), tuple(self.state["shape"])
        if dtype.hasobject:
            raise InputError("joblib stored an array of objects; write it again as .npz")
        if self.state.get("numpy_array_alignment_bytes") is not None:
            self.file.read(self.file.read(1)[0])
        data = self.file.read(math.prod(shape) * dtype.itemsize)
        self.array = np.frombuffer(data, dtype).reshape(shape, order=self.state["order"]).copy()

    def to_array(self) -> ndarray:
        return self.array


class _ExactReads:
    """A file without look-ahead: what follows a pickled object in it can be read while the object is being made."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.readline = file.read, file.readline


class ArraysUnpickler(RestrictedUnpickler):
    """Resolves what arrays and dictionaries need and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(_ExactReads(file), encoding="latin1")  # type: ignore[arg-type]
        wrapper = type("JoblibArrayHere", (JoblibArray,), {"file": file})
        self._also = _ALSO | {("joblib.numpy_pickle", "NumpyArrayWrapper"): wrapper}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._also:
            return self._also[module, name]
        try:
            return super().find_class(module, name)
        except InputError:
            raise InputError(
                f"it asks for {module}.{name}, which no file of arrays needs; it was refused and nothing was run; "
                "write it again as .npz"
            ) from None


def _make_dictionary(*_: object) -> dict:
    """In place of dictionaries with a behaviour of their own; entries are set afterwards."""
    return {}


def _load_storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


_ALSO: dict[tuple[str, str], Any] = {
    ("builtins", "dict"): dict,
    ("collections", "defaultdict"): _make_dictionary,
    ("collections", "OrderedDict"): _make_dictionary,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch.storage", "_load_from_bytes"): _load_storage,
}


def _read_npz(path: Path, keys: Iterable[str] | None) -> dict[str, ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files if keys is None or key in keys}


def _read_npy(path: Path, _: Iterable[str] | None) -> Any:
    with path.open("rb") as file:
        major, _minor = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _fortran, dtype = read_header(file)
        if shape != () or not dtype.hasobject:
            raise InputError("holds an array, not a dictionary of arrays; write it again as .npz")
        return _to_arrays(ArraysUnpickler(file).load().item())


def _read_torch(path: Path, _: Iterable[str] | None) -> Any:
    return _to_arrays(torch.load(path, map_location="cpu", weights_only=True))


def _read_pickle(path: Path, _: Iterable[str] | None) -> Any:
    with path.open("rb") as file:
        return _to_arrays(ArraysUnpickler(file).load())


_READERS = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".ckpt": _read_torch,
    ".pkl": _read_pickle,
    ".pickle": _read_pickle,
}


def _to_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_arrays(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        return value.detach().float().numpy() if value.dtype == torch.bfloat16 else value.detach().numpy()
    return value.to_array() if isinstance(value, StoredState) else value
