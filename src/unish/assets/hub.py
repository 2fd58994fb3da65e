"""Weights from the Hugging Face hub, through its own client: cached, all files of one commit, checksums compared."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from unish.assets.cache import cache_dir
from unish.assets.hub_names import CONFIG, INDEX, PUBLISHED_FILE, WEIGHTS
from unish.errors import InputError


def fetch_repository(repository: str, revision: str | None = None) -> Path:
    """Bring the weights of a hub repository into the cache.

    Downloads go to ``UNISH_CACHE/hub`` when ``UNISH_CACHE`` is set, else to the cache of ``huggingface_hub``. When the
    hub cannot be reached, what the cache has is used.

    Args:
        repository: ``OWNER/NAME``.
        revision: branch, tag or commit; the main branch when not given.

    Returns:
        The folder with ``config.json`` and weights; or, for a repository without these, its one safetensors file.

    Raises:
        InputError: no such repository, revision or weights; a broken download; or no network and not in the cache.
    """
    where = f"model {repository!r}"
    revision = revision or constants.DEFAULT_REVISION
    try:
        return _fetch(repository, revision, where)
    except GatedRepoError:
        raise InputError(f"{where}: access is restricted; accept its terms on the hub, then `hf auth login`") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"{where}: no such repository on the hub, or a private one; check the name, or `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"{where}: it has no revision {revision!r}; give a branch, tag or commit of it") from None
    except HFValidationError as error:
        raise InputError(f"{where}: not a name of the hub ({_first_line(error)}); give OWNER/NAME or a path") from None
    except (HTTPError, OSError) as error:
        raise InputError(
            f"{where}: the download failed ({_first_line(error)}); run again, or give the path of a copy"
        ) from None


def _fetch(repository: str, revision: str, where: str) -> Path:
    cache = cache_dir() / "hub" if os.environ.get("UNISH_CACHE") else None  # the default, which other programs share
    api, patience = huggingface_hub.HfApi(), constants.HF_HUB_ETAG_TIMEOUT
    try:
        listing = api.model_info(repository, revision=revision, timeout=patience).siblings or []
    except (HTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
            raise
        return _find_cached(repository, revision, cache, where, error)
    names = _choose_files([file.rfilename for file in listing])
    if not names:
        raise InputError(
            f"{where}: the repository holds no {CONFIG} with {WEIGHTS}, and no single safetensors file; "
            "check the name and the revision"
        )
    known = {huggingface_hub.try_to_load_from_cache(repository, name, cache, revision) for name in names}
    snapshot = huggingface_hub.snapshot_download(repository, revision=revision, cache_dir=cache, allow_patterns=names)
    for path in (Path(snapshot, name) for name in names):
        if str(path) not in known:
            _check_download(path, where)
    return _enter(Path(snapshot), names)


def _find_cached(repository: str, revision: str, cache: Path | None, where: str, reason: Exception) -> Path:
    """What an earlier download left."""
    try:
        # No patterns: the client would miss files of the repository that are not asked for.
        snapshot = huggingface_hub.snapshot_download(
            repository, revision=revision, cache_dir=cache, local_files_only=True, allow_patterns=[]
        )
        found = [path.relative_to(snapshot).as_posix() for path in Path(snapshot).rglob("*") if path.is_file()]
    except LocalEntryNotFoundError:
        snapshot, found = "", []
    names = _choose_files(found)
    if not names:
        outage = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(reason)
        raise InputError(
            f"{where}: not (completely) in the cache and the hub cannot be reached ({outage}); "
            "run once with a connection, or give the path of a copy"
        )
    return _enter(Path(snapshot), names)


def _choose_files(names: list[str]) -> list[str]:
    """Our layout; else the published checkpoint by its path, or the only safetensors file there is; else nothing."""
    if CONFIG in names and INDEX in names:
        return [CONFIG, INDEX, *(name for name in names if re.fullmatch(r"model-[^/]*\.safetensors", name))]
    if CONFIG in names:
        return [CONFIG, WEIGHTS] if WEIGHTS in names else []
    found = [name for name in names if name.endswith(".safetensors")]
    return [PUBLISHED_FILE] if PUBLISHED_FILE in found else found if len(found) == 1 else []


def _enter(snapshot: Path, names: list[str]) -> Path:
    return snapshot if CONFIG in names else snapshot / names[0]


def _check_download(path: Path, where: str) -> None:
    """Compare a large file with its sha256, which the hub gives as its name in the cache; the client does not."""
    blob = path.resolve()
    if not re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != blob.name:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise InputError(f"{where}: {path.name} came with a wrong checksum and was removed; run again to fetch it anew")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
