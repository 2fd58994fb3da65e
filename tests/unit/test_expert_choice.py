"""What users write to fill a slot, and what happens where a model cannot be had."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tiny_experts import save_depth_anything, save_rt_detr
from unish.errors import InputError
from unish.network.depth_prior import find_depth_prior
from unish.people.experts import find_people_experts
from unish.slots import DEPTH_PRIORS, KEYPOINTS, MASKS, PEOPLE_DETECTORS, read_expert


@pytest.mark.parametrize("kinds", [DEPTH_PRIORS, PEOPLE_DETECTORS, KEYPOINTS, MASKS])
def test_the_first_name_is_what_ships_and_the_others_have_usual_weights(kinds: dict[str, str | None]) -> None:
    first, *others = kinds
    assert read_expert("slot", first, kinds).weights is None
    for name in others:
        if name != "files":
            assert read_expert("slot", name, kinds).weights == kinds[name]
            assert read_expert("slot", f"{name}:me/mine@v2", kinds).weights == "me/mine@v2"


def test_a_folder_says_by_its_configuration_what_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "depth"
    folder.mkdir()
    found = read_expert("depth prior", folder, DEPTH_PRIORS)
    assert (found.kind, found.weights) == ("files", str(folder))
    with pytest.raises(InputError, match=r"masks: .*holds no config\.json"):
        read_expert("masks", str(folder), MASKS)
    (folder / "config.json").write_text("{}")
    assert read_expert("depth prior", folder, DEPTH_PRIORS).kind == "depth-anything-v2"
    assert read_expert("masks", str(folder), MASKS).kind == "sam2"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("midas", "give fastdepth, depth-anything-v2"),
        ("files", "files:FOLDER"),
        ("files:", "files"),
        ("fastdepth:mine", "takes no weights"),
        ("moge-2:", "followed by nothing"),
        ("/no/such/folder", "or the folder"),
        (None, "None"),
    ],
)
def test_what_is_no_choice_is_said_in_one_line(given: object, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read_expert("depth prior", given, DEPTH_PRIORS)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").write_text("{}")
    for call in (
        lambda: find_depth_prior(str(tmp_path)),
        lambda: find_people_experts(str(tmp_path), "movenet", "blazepose"),
        lambda: find_people_experts("yolo", str(tmp_path), "blazepose"),
        lambda: find_people_experts("yolo", "movenet", str(tmp_path)),
    ):
        with pytest.raises(InputError, match=r"pip install 'unish\[experts\]'"):
            call()


def test_packages_that_users_install_themselves_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("moge", "moge.model", "moge.model.v2", "depth_anything_3", "depth_anything_3.api"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match="needs MoGe: pip install"):
        find_depth_prior("moge-2")
    with pytest.raises(InputError, match="Depth-Anything-3"):
        find_depth_prior("depth-anything-3")


def test_weights_of_another_kind_or_without_tensors_are_refused(tmp_path: Path) -> None:
    save_rt_detr(tmp_path / "boxes")
    with pytest.raises(InputError, match="is a model of type 'rt_detr'; wanted is depth_anything"):
        find_depth_prior(str(tmp_path / "boxes"))
    config = json.loads((tmp_path / "boxes" / "config.json").read_text())
    config["id2label"]["2"] = "sheep"
    (tmp_path / "boxes" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="called person"):
        find_people_experts(str(tmp_path / "boxes"), "movenet", "blazepose")
    (tmp_path / "boxes" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no safetensors file"):
        find_people_experts(str(tmp_path / "boxes"), "movenet", "blazepose")


def test_broken_weights_are_told_in_one_line_and_others_have_another_fingerprint(tmp_path: Path) -> None:
    folder = save_depth_anything(tmp_path / "depth")
    before = find_depth_prior(str(folder))
    assert before is not None and "sha256:" in before.fingerprint and "transformers" in before.fingerprint
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    after = find_depth_prior(str(folder))
    assert after is not None and after.fingerprint != before.fingerprint
    with pytest.raises(InputError, match="cannot be read as DepthAnything") as caught:
        after._model  # noqa: B018
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "licence"),
    [
        ("depth-anything/Depth-Anything-V2-Small-hf", "Apache-2.0"),
        ("depth-anything/Depth-Anything-V2-Base-hf", "not for commercial use"),
        ("depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf", "not for commercial use"),
        ("me/mine", "not known here"),
    ],
)
def test_licences_of_depth_anything_v2_differ_by_size(weights: str, licence: str) -> None:
    from unish.network.depth_prior.depth_anything_v2 import name_licence

    assert licence in name_licence(weights)
