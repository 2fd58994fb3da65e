"""Weights from the Hugging Face hub, through its own client: cached, all files of one commit, checksums compared."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from unish.assets import cache_dir
from unish.errors import InputError
from unish.network.checkpoint_files import CONFIG, INDEX, WEIGHTS, read_shard_names

PUBLISHED_REPOSITORY, PUBLISHED_FILE = "Murphyyyy/UniSH", "checkpoints/unish_release.safetensors"


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
        remote = _Remote(repository=repository, revision=revision, outage=_find_outage(repository, revision))
        found = _fetch_folder(remote) or _fetch_file(remote)
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
    if found is None:
        raise InputError(remote.describe_absence(f"no {CONFIG} with {WEIGHTS}, and no single safetensors file"))
    return found


@dataclass(frozen=True, kw_only=True)
class _Remote:
    """A repository at a revision.

    Attributes:
        outage: why the hub cannot be reached, so that only the cache can serve; ``None`` when it answers.
    """

    repository: str
    revision: str
    outage: str | None

    def fetch(self, name: str, commit: str | None = None) -> Path | None:
        """The local copy of a file; ``None`` when there is no such file, or it is out of reach and not cached."""
        revision = commit or self.revision
        cached = huggingface_hub.try_to_load_from_cache(
            self.repository, name, cache_dir=_cache_folder(), revision=revision
        )
        if commit and cached is not None and not isinstance(cached, str):
            return None  # a commit never changes, and this one is known not to have the file
        try:
            downloaded = huggingface_hub.hf_hub_download(
                self.repository,
                name,
                revision=revision,
                cache_dir=_cache_folder(),
                local_files_only=self.outage is not None,
            )
        except EntryNotFoundError as error:
            if self.outage is None and isinstance(error, LocalEntryNotFoundError) and not _is_plain_404(error):
                raise
            return None
        path = Path(downloaded)
        if downloaded != cached:
            _check_download(path, self.repository)
        return path

    def list_files(self) -> list[str]:
        """All file names, those in the cache when the hub cannot be reached."""
        if self.outage is None:
            return huggingface_hub.HfApi().list_repo_files(self.repository, revision=self.revision)
        try:
            snapshot = huggingface_hub.snapshot_download(
                self.repository, revision=self.revision, cache_dir=_cache_folder(), local_files_only=True
            )
        except LocalEntryNotFoundError:
            return []
        return [path.relative_to(snapshot).as_posix() for path in Path(snapshot).rglob("*") if path.is_file()]

    def describe_absence(self, what: str) -> str:
        """One line for a file that ``fetch`` did not find."""
        if self.outage is None:
            return f"model {self.repository!r}: the repository holds {what}; check the name and the revision"
        return (
            f"model {self.repository!r}: not (completely) in the cache and the hub cannot be reached ({self.outage}); "
            "run once with a connection, or give the path of a copy"
        )


def _find_outage(repository: str, revision: str) -> str | None:
    """One request without retries, so that a machine without a network falls back to the cache at once."""
    try:
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repository, CONFIG, revision=revision))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except HfHubHTTPError as error:
        return _first_line(error) if error.response.status_code >= 500 else None
    except (HTTPError, OSError) as error:
        return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(error)
    return None


def _fetch_folder(remote: _Remote) -> Path | None:
    """The cached folder of a repository in our layout, all files from the commit that the configuration is from."""
    config = remote.fetch(CONFIG)
    if config is None:
        return None
    commit = config.parent.name
    index = remote.fetch(INDEX, commit)
    if index is None:
        return config.parent if remote.fetch(WEIGHTS, commit) else None
    for name in read_shard_names(index):
        if remote.fetch(name, commit) is None:
            raise InputError(remote.describe_absence(f"an index but not its file {name}"))
    return config.parent


def _fetch_file(remote: _Remote) -> Path | None:
    """The published checkpoint by its path in its repository, or the only safetensors file of any other."""
    names = [name for name in remote.list_files() if name.endswith(".safetensors")]
    name = PUBLISHED_FILE if PUBLISHED_FILE in names else names[0] if len(names) == 1 else None
    return None if name is None else remote.fetch(name)


def _check_download(path: Path, repository: str) -> None:
    """Compare a large file with its sha256, which the hub gives as its name in the cache; the client does not."""
    blob = path.parent / path.readlink() if path.is_symlink() else path
    if not re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != blob.name:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise InputError(
            f"model {repository!r}: {path.name} came with a wrong checksum and was removed; run again to fetch it anew"
        )


def _is_plain_404(error: LocalEntryNotFoundError) -> bool:
    """Whether a server said "not found" without the hub's own error code, as mirrors do."""
    cause = error.__cause__
    return isinstance(cause, HfHubHTTPError) and cause.response.status_code == 404


def _cache_folder() -> Path | None:
    """``None`` is the default of ``huggingface_hub``, which other programs share."""
    return cache_dir() / "hub" if os.environ.get("UNISH_CACHE") else None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
