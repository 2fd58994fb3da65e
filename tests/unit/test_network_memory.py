"""Loading holds the weights in memory once: measured in a fresh process, on files that are not small."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unish.network import PRESETS, UniSH
from unish.network.adapters import to_published
from unish.network.align_net import AlignNetConfig
from unish.network.config import UniSHConfig
from unish.network.decoder import DecoderConfig
from unish.network.encoders.dinov2 import DinoConfig
from unish.network.heads.branch_decoder import BranchDecoderConfig
from unish.network.human.crop_branch import CropBranchConfig
from unish.network.human.smpl_head import SmplHeadConfig
from unish.network.human.vit import CropVitConfig
from unish.network.release_scene import ReleaseSceneConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which is Linux's"),
]

_MEASURE = """
import json, sys, threading, time
import torch
import torch._dynamo  # making a network of the release on the meta device loads it: code, and no weights
from unish import UniSH
import unish.network.unish

def memory():
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return [1024 * int(fields[name].split()[0]) for name in ("RssAnon", "VmRSS")]

samples, done = [memory()], threading.Event()
def watch():
    while not done.is_set():
        samples.append(memory())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
model = UniSH.from_pretrained(sys.argv[1])
if sys.argv[2] == "read":
    with torch.no_grad():
        sum(float(tensor.sum()) for tensor in model.state_dict().values())
done.set()
watcher.join()
samples.append(memory())
weights = sum(tensor.nbytes for tensor in model.state_dict().values())
print(json.dumps([weights, *(max(column) - column[0] for column in zip(*samples))]))
"""


def peaks_over_weights(path: Path, *, read: bool = True) -> tuple[float, float]:
    """Memory that loading (and reading every number once) adds at most, over the size of the weights in float32.

    Returns:
        Anonymous memory; and all resident memory, with the pages of files.
    """
    command = [sys.executable, "-c", _MEASURE, str(path), "read" if read else "load"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    weights, anonymous, resident = json.loads(done.stdout)
    print(f"{path.name}: {anonymous / 1e6:.0f} MB, {resident / 1e6:.0f} MB; weights {weights / 1e6:.0f} MB")
    return anonymous / weights, resident / weights


@pytest.fixture(scope="module")
def model() -> UniSH:
    """The published architecture with 264 MB of weights."""
    return UniSH(
        UniSHConfig(
            name="medium-release",
            scene=ReleaseSceneConfig(
                encoder=DinoConfig(dim=512, depth=6, num_heads=8),
                decoder=DecoderConfig(dim=512, depth=6, num_heads=8),
                branch=BranchDecoderConfig(dim=512, depth=1, num_heads=8),
                camera_dim=128,
            ),
            human=CropBranchConfig(
                backbone=CropVitConfig(dim=512, depth=4, num_heads=8),
                head=SmplHeadConfig(dim=256, depth=1, num_heads=4),
            ),
            align=AlignNetConfig(dim=128, num_heads=4, mlp_dim=128),
        )
    )


# Measured: 0.006 (the pages stay the file's) and 1.007 (one tensor at a time is there twice).
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 0.1), (torch.bfloat16, 1.1)])
@pytest.mark.parametrize("max_shard_size", ["5GB", "50MB"])
def test_loading_holds_the_weights_once(model, dtype, limit, max_shard_size, tmp_path) -> None:
    model.save_pretrained(tmp_path, dtype=dtype, max_shard_size=max_shard_size)
    assert 200e6 < sum(tensor.nbytes for tensor in model.state_dict().values()) < 300e6
    anonymous, resident = peaks_over_weights(tmp_path)
    assert anonymous <= limit
    assert resident <= 1.1


def test_the_small_model_is_not_held_twice() -> None:
    # Measured: 1.04, with the code and the tables that its branches need.
    assert peaks_over_weights(Path("small"))[0] <= 1.5


def write_header_only(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file whose numbers are a hole, all zero, that takes no room on the disk."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + 4 * tensor.numel()]}
        end += 4 * tensor.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """The published checkpoint, names and shapes only."""
    with torch.device("meta"):
        return to_published(UniSH(PRESETS["release"]()).state_dict())


def test_the_published_checkpoint_loads_without_memory_of_its_own(published, tmp_path) -> None:
    write_header_only(tmp_path / "unish_release.safetensors", published)
    # Measured: 8 MB of 6549 MB.
    assert peaks_over_weights(tmp_path / "unish_release.safetensors", read=False)[0] <= 0.02


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("pi3.decoder.35.mlp.fc2.bias"), "1 missing (pi3.decoder.35.mlp.fc2.bias)"),
        (lambda state: state.update(more=torch.zeros(2)), "1 unexpected (more)"),
        (
            lambda state: state.update({"alignnet.init_cam": torch.zeros(3)}),
            "1 of the wrong shape (alignnet.init_cam (3,) instead of (1, 3))",
        ),
    ],
)
def test_the_published_checkpoint_is_read_strictly(
    published, change: Callable[[dict[str, Tensor]], object], complaint, tmp_path
) -> None:
    state = dict(published)
    change(state)
    write_header_only(tmp_path / "unish_release.safetensors", state)
    with pytest.raises(ValueError, match="do not fit the network") as caught:
        UniSH.from_pretrained(tmp_path / "unish_release.safetensors")
    assert complaint in str(caught.value)
