"""Configuration and weights on disk: exact round trips, and one clear line for everything that is wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from network_models import tiny_release
from unish.errors import InputError
from unish.network import PRESETS, UniSH, UniSHConfig
from unish.network.adapters import to_published


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    UniSH(PRESETS["tiny"]()).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", PRESETS)
def test_configurations_survive_json(name) -> None:
    config = PRESETS[name]()
    assert UniSHConfig.from_json(config.to_json()) == config


def test_left_out_keys_get_their_defaults() -> None:
    config = UniSHConfig.from_json('{"scene": {"kind": "release", "camera_dim": 64}}')
    assert config == UniSHConfig(scene=dataclasses.replace(UniSHConfig().scene, camera_dim=64))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("not json", "not JSON"),
        ("[]", "expected an object"),
        ('{"colour": 3}', "unknown key colour"),
        ('{"align": {"dimension": 3}}', "config.align: unknown key dimension"),
        ('{"align": {"dim": "wide"}}', "config.align.dim: 'wide'"),
        ('{"align": {"dim": true}}', "config.align.dim: True"),
        ('{"scene": {"kind": "small", "widths": [16, "b", 8]}}', "config.scene.widths[1]: 'b' is not of type"),
        ('{"scene": {"kind": "small", "widths": [16, 12]}}', "config.scene.widths: [16, 12] is not of type"),
        ('{"scene": {"kind": "large"}}', "kind is 'large'; known are release, small"),
        ('{"scene": {"kind": "release", "decoder": {"depth": 3}}}', "depth must be even"),
    ],
)
def test_bad_configurations_are_named(text, complaint) -> None:
    with pytest.raises(InputError) as caught:
        UniSHConfig.from_json(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_saved_weights_come_back_bit_for_bit(saved) -> None:
    torch.manual_seed(1)
    original, loaded = UniSH(PRESETS["tiny"]()), UniSH.from_pretrained(saved)
    assert loaded.config == original.config
    assert not loaded.training
    for (name, a), (other, b) in zip(original.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b), name
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in original.parameters()]
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]
    assert loaded.fingerprint.startswith("tiny sha256:")
    assert "not loaded" in original.fingerprint


def test_half_precision_files_load_as_float32(saved, tmp_path) -> None:
    UniSH.from_pretrained(saved).save_pretrained(tmp_path / "half", dtype=torch.float16)
    assert (tmp_path / "half/model.safetensors").stat().st_size < 0.6 * (saved / "model.safetensors").stat().st_size
    half = UniSH.from_pretrained(tmp_path / "half")
    assert {p.dtype for p in half.parameters()} == {torch.float32}


def test_shards_come_back_whole_and_replace_what_was_there(saved) -> None:
    model = UniSH.from_pretrained(saved)
    model.save_pretrained(saved, max_shard_size="100KB")
    assert not (saved / "model.safetensors").exists()
    assert len(list(saved.glob("model-*.safetensors"))) > 1
    loaded = UniSH.from_pretrained(saved).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in model.state_dict().items())
    model.save_pretrained(saved)
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]


def test_published_names_are_understood(tmp_path, monkeypatch) -> None:
    torch.manual_seed(2)
    monkeypatch.setitem(PRESETS, "release", tiny_release)
    model = UniSH(tiny_release())
    published = {name: tensor.clone() for name, tensor in to_published(model.state_dict()).items()}
    save_file(published, tmp_path / "published.safetensors")
    loaded = UniSH.from_pretrained(tmp_path / "published.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_published_files_that_do_not_fit_are_named_in_their_own_names(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(PRESETS, "release", tiny_release)
    state = UniSH(tiny_release()).state_dict()
    published = {name: tensor.clone() for name, tensor in to_published(state).items()}
    del published["alignnet.init_cam"], published["pi3.decoder.1.ls1.gamma"]
    published["pi3.encoder.mask_token"] = torch.zeros(1)
    published["backbone.last_norm.bias"] = torch.zeros(3)
    save_file(published, tmp_path / "published.safetensors")
    with pytest.raises(InputError) as caught:
        UniSH.from_pretrained(tmp_path / "published.safetensors")
    for complaint in (
        "2 missing (alignnet.init_cam, pi3.decoder.1.ls1.gamma)",
        "1 unexpected (pi3.encoder.mask_token)",
        "1 of the wrong shape (backbone.last_norm.bias (3,) instead of (32,))",
    ):
        assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_published_file_needs_no_configuration_and_ignores_a_strange_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(PRESETS, "release", tiny_release)
    published = to_published(UniSH(tiny_release()).state_dict())
    save_file({name: tensor.clone() for name, tensor in published.items()}, tmp_path / "published.safetensors")
    (tmp_path / "config.json").write_text('{"architectures": ["of another program"]}')
    assert UniSH.from_pretrained(tmp_path / "published.safetensors").config == tiny_release()
    (tmp_path / "config.json").unlink()
    assert UniSH.from_pretrained(tmp_path).config == tiny_release()


def test_the_published_network_saves_and_loads_bit_for_bit(tmp_path) -> None:
    torch.manual_seed(5)
    original = UniSH(tiny_release())
    original.save_pretrained(tmp_path / "whole")
    mapped = UniSH.from_pretrained(tmp_path / "whole")  # its tensors lie in the file
    mapped.save_pretrained(tmp_path / "whole", max_shard_size=100_000)  # which is replaced under it
    for loaded in (mapped, UniSH.from_pretrained(tmp_path / "whole")):
        for name, tensor in original.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_changing_a_loaded_network_leaves_the_file_alone(tmp_path) -> None:
    UniSH(tiny_release()).save_pretrained(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    loaded = UniSH.from_pretrained(tmp_path)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.mark.gpu
def test_weights_go_straight_to_another_device(tmp_path) -> None:
    original = UniSH(tiny_release())
    original.save_pretrained(tmp_path, dtype=torch.bfloat16)
    loaded = UniSH.from_pretrained(tmp_path, device="cuda").state_dict()
    for name, tensor in original.state_dict().items():
        assert loaded[name].is_cuda and torch.equal(loaded[name].cpu(), tensor.bfloat16().float()), name


def test_a_file_of_ours_needs_its_configuration(saved) -> None:
    assert UniSH.from_pretrained(saved / "model.safetensors").config.name == "tiny"
    (saved / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json beside it"):
        UniSH.from_pretrained(saved / "model.safetensors")


def test_saving_that_fails_leaves_the_old_weights(saved, monkeypatch) -> None:
    def fill_the_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    model = UniSH.from_pretrained(saved)
    monkeypatch.setattr("huggingface_hub.save_torch_state_dict", fill_the_disk)
    with pytest.raises(InputError, match=r"cannot be written there \(No space left on device\)"):
        model.save_pretrained(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    with pytest.raises(InputError, match="cannot be written there"):
        model.save_pretrained(saved / "config.json")


def test_saving_that_is_cut_between_two_files_is_no_model(saved, monkeypatch) -> None:
    model, replace = UniSH.from_pretrained(saved), Path.replace

    def cut_before_second_shard(path: Path, target: Path) -> Path:
        if path.name.startswith("model-00002"):
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", cut_before_second_shard)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(saved, max_shard_size="100KB")
    with pytest.raises(InputError, match="missing"):
        UniSH.from_pretrained(saved)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("align.scale_token"), "1 missing (align.scale_token)"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 unexpected (extra)"),
        (
            lambda state: state.update({"align.scale_token": torch.zeros(1, 1, 3)}),
            "1 of the wrong shape (align.scale_token",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(saved, change, complaint) -> None:
    state = load_file(saved / "model.safetensors")
    change(state)
    save_file(state, saved / "model.safetensors")
    with pytest.raises(InputError) as caught:
        UniSH.from_pretrained(saved)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a tensor file", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_broken_files_are_one_line(saved, content) -> None:
    (saved / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="not a readable safetensors file") as caught:
        UniSH.from_pretrained(saved)
    assert "\n" not in str(caught.value)


def test_cut_files_are_one_line(saved) -> None:
    whole = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        UniSH.from_pretrained(saved)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("medium", "give small, a path, or OWNER/NAME"),
        ("release", "download checkpoints/unish_release.safetensors"),
        ("tiny", "no weights come with this package"),
        ("/nowhere/at/all", "no such file or folder"),
        ("nowhere/model.safetensors", "no such file or folder"),
    ],
)
def test_names_without_weights_say_what_to_do(name, complaint, monkeypatch) -> None:
    monkeypatch.setattr("unish.assets.hub.fetch_repository", lambda *_: pytest.fail("looked up online"))
    with pytest.raises(InputError) as caught:
        UniSH.from_pretrained(name)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_names_the_missing_file(saved) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: missing"):
        UniSH.from_pretrained(saved)


def test_a_text_file_is_not_weights(tmp_path) -> None:
    (tmp_path / "weights.bin").write_text(json.dumps({}))
    with pytest.raises(InputError, match=r"must be a \.safetensors file"):
        UniSH.from_pretrained(tmp_path / "weights.bin")
