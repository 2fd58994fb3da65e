"""Weights of other networks, in the layouts that they are published in, as a start for parts of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from network_models import tiny_release
from unish.errors import InputError
from unish.network import PRESETS, UniSH, initialise_backbone, initialise_scene
from unish.network.adapters import to_published


@pytest.fixture
def model() -> UniSH:
    torch.manual_seed(1)
    return UniSH(tiny_release())


@pytest.fixture
def donor() -> dict[str, Tensor]:
    """Another network of the same size, under published names."""
    torch.manual_seed(2)
    return {name: tensor.clone() for name, tensor in to_published(UniSH(tiny_release()).state_dict()).items()}


def pi3_layout(donor: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("pi3."): tensor for name, tensor in donor.items() if name.startswith("pi3.")}


def vitpose_layout(donor: dict[str, Tensor]) -> dict[str, Tensor]:
    backbone = {name: tensor for name, tensor in donor.items() if name.startswith("backbone.")}
    return backbone | {"keypoint_head.final_layer.weight": torch.zeros(17, 8, 1, 1)}


def check_parts(model: UniSH, before: dict[str, Tensor], donor: dict[str, Tensor], prefix: str) -> None:
    """What has the prefix (published names) is the donor's, everything else is untouched."""
    for name, tensor in to_published(model.state_dict()).items():
        expected = donor if name.startswith(prefix) else before
        assert torch.equal(tensor, expected[name]), name


def copy_of(model: UniSH) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in to_published(model.state_dict()).items()}


def test_pi3_fills_the_scene_branch_and_nothing_else(model, donor, tmp_path) -> None:
    before = copy_of(model)
    save_file(pi3_layout(donor), tmp_path / "pi3.safetensors")
    report = initialise_scene(model, tmp_path / "pi3.safetensors")
    check_parts(model, before, donor, "pi3.")
    own = model.state_dict().keys()
    assert set(report.loaded) == {name for name in own if name.startswith("scene.")}
    assert set(report.kept) == {name for name in own if not name.startswith("scene.")}
    assert report.unused == ()
    text = str(report)
    assert text.startswith("pi3.safetensors: loaded ") and "not used: nothing" in text
    assert f"stayed at their initialisation: {sum(n.startswith('human.backbone.') for n in own)} of human.back" in text


@pytest.mark.parametrize("layout", ["ViTPose", "CameraHMR", "safetensors"])
def test_a_pose_network_fills_the_backbone_and_nothing_else(model, donor, layout, tmp_path) -> None:
    before, state = copy_of(model), vitpose_layout(donor)
    if layout == "safetensors":
        path = tmp_path / "vitpose.safetensors"
        save_file(state, path)
    else:
        path = tmp_path / "vitpose.pth"
        extra = {"meta": {"epoch": 210}} if layout == "ViTPose" else {"epoch": 3, "global_step": 7, "callbacks": {}}
        torch.save({"state_dict": state} | extra, path)
    report = initialise_backbone(model, path)
    check_parts(model, before, donor, "backbone.")
    assert set(report.loaded) == {name for name in model.state_dict() if name.startswith("human.backbone.")}
    assert set(report.kept) | set(report.loaded) == set(model.state_dict())
    assert report.unused == ("keypoint_head.final_layer.weight",)
    assert "not used: 1 of keypoint_head.final_layer" in str(report)


def test_both_together_leave_the_head_and_align_net(model, donor, tmp_path) -> None:
    save_file(pi3_layout(donor), tmp_path / "pi3.safetensors")
    save_file(vitpose_layout(donor), tmp_path / "vitpose.safetensors")
    kept = set(initialise_scene(model, tmp_path / "pi3.safetensors").kept)
    kept &= set(initialise_backbone(model, tmp_path / "vitpose.safetensors").kept)
    assert {".".join(name.split(".")[:2]) for name in kept if name.startswith("human.")} == {"human.head"}
    assert {name.split(".")[0] for name in kept} == {"human", "align"}


def test_weights_of_another_network_are_refused_in_their_own_names(model, donor, tmp_path) -> None:
    before = copy_of(model)
    pi3 = pi3_layout(donor)
    del pi3["camera_head.fc_t.bias"]
    pi3["metric_head.weight"] = torch.zeros(1)
    save_file(pi3, tmp_path / "pi3.safetensors")
    with pytest.raises(InputError) as caught:
        initialise_scene(model, tmp_path / "pi3.safetensors")
    assert "1 missing (camera_head.fc_t.bias); 1 unexpected (metric_head.weight)" in str(caught.value)

    pose = vitpose_layout(donor)
    pose["backbone.pos_embed"] = torch.zeros(1, 7, 32)
    pose["backbone.blocks.1.norm1.bias"] = torch.zeros(32)
    save_file(pose, tmp_path / "vitpose.safetensors")
    with pytest.raises(InputError) as caught:
        initialise_backbone(model, tmp_path / "vitpose.safetensors")
    assert "1 unexpected (backbone.blocks.1.norm1.bias)" in str(caught.value)
    assert "(backbone.pos_embed (1, 7, 32) instead of (1, 193, 32))" in str(caught.value)
    check_parts(model, before, donor, "nothing of the donor")


def test_a_network_without_the_part_is_refused(tmp_path) -> None:
    tiny = UniSH(PRESETS["tiny"]())
    with pytest.raises(InputError, match="'tiny' has no π³ scene branch"):
        initialise_scene(tiny, tmp_path / "pi3.safetensors")
    with pytest.raises(InputError, match="'tiny' has no ViT backbone"):
        initialise_backbone(tiny, tmp_path / "vitpose.safetensors")


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("hostile"),)


@pytest.mark.parametrize("content", ["missing", "broken", "hostile", "list"])
def test_files_that_are_no_checkpoint_are_one_line(model, content, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "vitpose.pth"
    if content == "broken":
        path.write_bytes(b"PK\3\4 and then nothing")
    elif content != "missing":
        torch.save({"state_dict": Hostile()} if content == "hostile" else [1, 2], path)
    with pytest.raises(InputError) as caught:
        initialise_backbone(model, path)
    assert str(caught.value).startswith(f"{path}: ") and "safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("hostile").exists()
