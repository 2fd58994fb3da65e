"""Every tensor of the published checkpoint has its place in ours, and the other way round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from unish.network import PRESETS, UniSH
from unish.network.adapters import UNUSED_COPIES, name_from_published, name_to_published, to_published

pytestmark = [pytest.mark.parity]


@pytest.fixture(scope="module")
def published(parity_dir: Path) -> dict[str, tuple[int, ...]]:
    keys = json.loads((parity_dir / "unish_state_dict_keys.json").read_text())["keys"]
    return {name: tuple(entry["shape"]) for name, entry in keys.items()}


def test_the_whole_state_dict_has_the_published_keys_and_shapes(published) -> None:
    with torch.device("meta"):
        model = UniSH(PRESETS["release"]())
    ours = {name: tuple(tensor.shape) for name, tensor in to_published(model.state_dict()).items()}
    assert ours == published
    assert len(ours) == 1783
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_637_210_554


def test_names_translate_both_ways(published) -> None:
    for name in published.keys() - UNUSED_COPIES.keys():
        ours = name_from_published(name)
        assert ours is not None
        assert name_to_published(ours) == name


def test_foreign_names_have_no_place() -> None:
    assert name_from_published("module.pi3.encoder.cls_token") is None
    assert name_to_published("scene_encoder.cls_token") is None
