"""Weights from a hub that is on the loopback address: downloads, accidents, and what the cache can do alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import close_session
from loopback_hub import LoopbackHub
from safetensors.torch import save

from network_models import tiny_release
from unish.errors import InputError
from unish.network import PRESETS, UniSH
from unish.network.adapters import to_published

REPOSITORY = "someone/tiny-unish"


@pytest.fixture(scope="module")
def model() -> UniSH:
    torch.manual_seed(3)
    return UniSH(PRESETS["tiny"]())


@pytest.fixture(scope="module")
def files(model: UniSH, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    # What HF_ENDPOINT does when it is set before the client is imported.
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    close_session()  # connections and proxies of another test
    yield hub
    hub.stop()
    close_session()


def assert_same(model: UniSH, expected: UniSH) -> None:
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def assert_no_weights(cache: Path) -> None:
    assert not [path for path in cache.rglob("*") if path.name == "model.safetensors" or path.suffix == ".incomplete"]
    assert not [path for path in cache.rglob("blobs/*") if path.stat().st_size > 50_000]


def failure(name: str, **arguments: str) -> str:
    with pytest.raises(InputError) as caught:
        UniSH.from_pretrained(name, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
def test_a_repository_is_downloaded_once_into_the_cache_of_the_package(hub, cache, files, model) -> None:
    hub.publish(REPOSITORY, files | {"README.md": b"not needed"})
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    assert len(hub.downloads("config.json")) == len(hub.downloads("model.safetensors")) == 1
    assert not hub.downloads("README.md")
    assert list((cache / "hub").rglob("model.safetensors"))


@pytest.mark.slow
def test_shards_are_found_by_their_index(hub, model, tmp_path) -> None:
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    shards = {path.name: path.read_bytes() for path in (tmp_path / "sharded").iterdir()}
    assert len(shards) > 4
    hub.publish(REPOSITORY, shards)
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    hub.stop()
    assert_same(UniSH.from_pretrained(REPOSITORY), model)


def test_a_shard_that_the_repository_lacks_is_named(hub, model, tmp_path) -> None:
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    shards = {path.name: path.read_bytes() for path in (tmp_path / "sharded").iterdir()}
    lost = next(name for name in shards if name.startswith("model-00002"))
    hub.publish(REPOSITORY, {name: content for name, content in shards.items() if name != lost})
    assert lost in failure(REPOSITORY)


def test_the_published_checkpoint_is_found_without_a_configuration(hub, monkeypatch) -> None:
    monkeypatch.setitem(PRESETS, "release", tiny_release)
    release = UniSH(tiny_release())
    published = {name: tensor.clone() for name, tensor in to_published(release.state_dict()).items()}
    content = {"checkpoints/unish_release.safetensors": save(published), "other/part.safetensors": b"of no use"}
    hub.publish(REPOSITORY, content)
    assert_same(UniSH.from_pretrained(REPOSITORY), release)
    hub.stop()
    assert_same(UniSH.from_pretrained(REPOSITORY), release)


@pytest.mark.slow
def test_revisions_are_branches_tags_or_commits(hub, files, model) -> None:
    torch.manual_seed(4)
    older = UniSH(PRESETS["tiny"]())
    first = {"config.json": files["config.json"], "model.safetensors": save(dict(older.state_dict()))}
    commit = hub.publish(REPOSITORY, first)
    hub.publish(REPOSITORY, first, branch="v1")
    assert_same(UniSH.from_pretrained(REPOSITORY), older)
    hub.publish(REPOSITORY, files)
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    assert_same(UniSH.from_pretrained(REPOSITORY, revision="v1"), older)
    assert_same(UniSH.from_pretrained(f"{REPOSITORY}@v1"), older)
    assert_same(UniSH.from_pretrained(REPOSITORY, revision=commit), older)
    hub.stop()
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    assert_same(UniSH.from_pretrained(REPOSITORY, revision=commit), older)


@pytest.mark.slow
def test_a_cut_connection_is_resumed_where_it_broke(hub, files, model, monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB, and no less is kept
    hub.publish(REPOSITORY, files)
    hub.cuts["model.safetensors"] = [50_000]
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    resumed = [request.range for request in hub.downloads("model.safetensors") if request.range]
    assert resumed == ["bytes=50000-"]


def test_a_connection_that_stays_broken_leaves_nothing_behind(hub, cache, files, model, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.publish(REPOSITORY, files)
    hub.cuts["model.safetensors"] = [50_000] + 6 * [0]
    message = failure(REPOSITORY)
    assert "the download failed" in message and "run again" in message
    assert_no_weights(cache)
    assert_same(UniSH.from_pretrained(REPOSITORY), model)


def test_a_wrong_checksum_is_refused_and_not_kept(hub, cache, files, model) -> None:
    hub.publish(REPOSITORY, files)
    content = bytearray(files["model.safetensors"])
    content[-1] ^= 1
    hub.tampered["model.safetensors"] = bytes(content)
    assert "model.safetensors came with a wrong checksum" in failure(REPOSITORY)
    assert_no_weights(cache)
    hub.tampered.clear()
    assert_same(UniSH.from_pretrained(REPOSITORY), model)


def test_a_file_that_comes_too_short_is_refused_and_not_kept(hub, cache, files, model) -> None:
    hub.publish(REPOSITORY, files)
    hub.tampered["model.safetensors"] = files["model.safetensors"][:-10]
    assert "the download failed" in failure(REPOSITORY)
    assert_no_weights(cache)
    hub.tampered.clear()
    assert_same(UniSH.from_pretrained(REPOSITORY), model)


def test_an_unknown_repository_revision_or_file_is_named(hub, files) -> None:
    hub.publish(REPOSITORY, files)
    hub.publish("someone/empty", {"README.md": b"nothing here"})
    hub.publish("someone/many", {"a.safetensors": b"", "b.safetensors": b""})
    hub.publish("someone/half", {"config.json": files["config.json"]})
    assert "'someone/else': no such repository" in failure("someone/else")
    assert "no revision 'v9'" in failure(REPOSITORY, revision="v9")
    assert "no revision 'v/9'" in failure(f"{REPOSITORY}@v/9")
    assert "has a revision already" in failure(f"{REPOSITORY}@main", revision="v1")
    for name in ("someone/empty", "someone/many", "someone/half"):
        assert f"{name!r}: the repository holds no config.json with model.safetensors" in failure(name)
    assert "not a name of the hub" in failure("some--one/else..")


def test_a_repository_with_restricted_access_says_how_to_get_in(hub, files) -> None:
    hub.publish(REPOSITORY, files)
    hub.gated.add(REPOSITORY)
    assert "access is restricted; accept its terms on the hub, then `hf auth login`" in failure(REPOSITORY)


@pytest.mark.slow
def test_a_hub_that_is_down_is_no_reason_to_fail_with_a_full_cache(hub, files, model) -> None:
    hub.publish(REPOSITORY, files)
    UniSH.from_pretrained(REPOSITORY)
    hub.is_down = True
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    assert "the hub cannot be reached (Server error '503" in failure("someone/else")


def test_a_mirror_without_the_error_codes_of_the_hub_serves(hub, files, model) -> None:
    hub.publish(REPOSITORY, files)
    hub.gives_reasons = False
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    assert "the download failed (Client error '401" in failure("someone/else")
    assert "the download failed (Client error '404" in failure(REPOSITORY, revision="v9")


@pytest.mark.parametrize("index", [b"{}", b"[", b'{"weight_map": {"a": "../../secret.safetensors"}}'])
def test_a_broken_index_is_named(hub, files, index) -> None:
    hub.publish(REPOSITORY, {"config.json": files["config.json"], "model.safetensors.index.json": index})
    assert "not a shard index" in failure(REPOSITORY)


@pytest.mark.slow
@pytest.mark.parametrize("by_choice", [True, False])
def test_without_a_connection_the_cache_serves_or_the_message_says_what_to_do(
    hub, files, model, by_choice, monkeypatch
) -> None:
    hub.publish(REPOSITORY, files)
    UniSH.from_pretrained(REPOSITORY)
    if by_choice:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        close_session()
    else:
        hub.stop()
    asked = len(hub.requests)
    assert_same(UniSH.from_pretrained(REPOSITORY), model)
    message = failure("someone/else")
    assert "the hub cannot be reached" in message and "run once with a connection, or give the path" in message
    assert ("HF_HUB_OFFLINE is set" in message) == by_choice
    assert "the hub cannot be reached" in failure(REPOSITORY, revision="v9")
    assert len(hub.requests) == asked


def test_weights_that_were_never_fetched_whole_are_not_taken_from_the_cache(hub, cache, files) -> None:
    hub.publish(REPOSITORY, files)
    UniSH.from_pretrained(REPOSITORY)
    next(cache.rglob("model.safetensors")).unlink()
    hub.stop()
    assert "not (completely) in the cache" in failure(REPOSITORY)


_LOAD_ALL = """
import sys
from unish import UniSH
for name in sys.argv[1:]:
    try:
        print(UniSH.from_pretrained(name).fingerprint)
    except ValueError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_a_fresh_process_takes_endpoint_and_offline_mode_from_its_environment(hub, files) -> None:
    def load_all(*names: str, **environment: str) -> list[str]:
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, **environment}
        command = [sys.executable, "-c", _LOAD_ALL, *names]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    hub.publish(REPOSITORY, files)
    online = load_all(REPOSITORY)
    assert online[0].startswith("tiny sha256:")
    offline = load_all(REPOSITORY, "someone/else", HF_HUB_OFFLINE="1")
    assert offline[0] == online[0]
    assert offline[1].startswith("InputError model 'someone/else': not (completely) in the cache")


@pytest.mark.parametrize("name", ["small", "someone"])
def test_names_without_a_slash_are_never_looked_up(hub, name) -> None:
    if name == "small":
        UniSH.from_pretrained(name)
    else:
        assert "no such file or folder" in failure(name)
    assert not hub.requests


def test_only_the_hub_has_revisions(hub, tmp_path, model) -> None:
    model.save_pretrained(tmp_path / "model")
    assert "only OWNER/NAME of the hub has revisions" in failure(str(tmp_path / "model"), revision="main")
