"""What the network does not compute twice or hold at once: chunks, one batch of people, recomputed activations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from network_models import CONFIGS, NUM_CLIPS, NUM_FRAMES, make_camera, make_clips, make_human_inputs, make_network
from unish.network import UniSH
from unish.network.chunks import map_chunks
from unish.network.layers import Block, Mlp


@contextmanager
def record_shapes(*modules: nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """Shapes of the first input of every call of these modules while the context is open."""
    shapes: list[tuple[int, ...]] = []
    hooks = [m.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape))) for m in modules]
    yield shapes
    for hook in hooks:
        hook.remove()


@pytest.mark.slow
@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("max_tokens", [1, 17, 40])
def test_chunks_change_nothing(family, max_tokens, rng, monkeypatch) -> None:
    model, (images, timestamps), humans = make_network(family), make_clips(rng), make_human_inputs(2, rng)
    mlps = [module for module in model.modules() if isinstance(module, Mlp)]
    with torch.no_grad():
        whole = model(images, humans, timestamps, make_camera())
        monkeypatch.setattr("unish.network.chunks.MAX_TOKENS", max_tokens)
        with record_shapes(*(mlp.fc1 for mlp in mlps)) as shapes:
            chunked = model(images, humans, timestamps, make_camera())
    assert max(rows for rows, _ in shapes) <= max_tokens
    for name, value in vars(whole).items():
        if value is None:
            continue
        error = float((getattr(chunked, name) - value).abs().max() / value.abs().max().clamp_min(1e-3))
        assert error <= 1e-5, f"{name}: {error:.1e}"


def test_frames_pass_the_trunks_in_chunks(rng, monkeypatch) -> None:
    model, (images, timestamps) = make_network("release"), make_clips(rng)
    assert NUM_CLIPS * NUM_FRAMES == 6
    # 48×64 pixels are 12 patches: 12 + 5 tokens of the encoder and 12 + 2 of the decoder.
    monkeypatch.setattr("unish.network.chunks.MAX_TOKENS", 2 * 17)
    scene = model.scene
    trunks = (scene.encoder, scene.point_decoder, scene.conf_decoder, scene.camera_decoder)
    with torch.no_grad(), record_shapes(*(trunk.blocks[0] for trunk in trunks)) as shapes:
        model(images, None, timestamps)
    assert shapes == 3 * [(2, 17, 32)] + 3 * 3 * [(2, 14, 32)]


def test_map_chunks_takes_at_least_one_item() -> None:
    items, seen = torch.arange(10.0)[:, None], []
    out = map_chunks(lambda part: seen.append(len(part)) or 2 * part, items, 10**9)
    assert torch.equal(out, 2 * items) and seen == [1] * 10


@pytest.mark.parametrize("num_people", [0, 1, 3])
def test_the_scene_runs_once_and_all_people_in_one_batch(num_people, rng) -> None:
    model, (images, timestamps), humans = make_network("release"), make_clips(rng), make_human_inputs(num_people, rng)
    with torch.no_grad(), record_shapes(model.scene.decoder, model.human.backbone) as shapes:
        model(images, humans, timestamps)
    of_scene, of_people = shapes[:1], shapes[1:]
    assert of_scene == [(NUM_CLIPS, NUM_FRAMES, 12, 32)]
    assert of_people == ([(NUM_CLIPS * num_people * NUM_FRAMES, 3, 256, 192)] if num_people else [])


class CountOperations(TorchDispatchMode):
    """How often every operation runs."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


def test_attention_is_fused_everywhere(rng) -> None:
    model, (images, timestamps), humans = make_network("release"), make_clips(rng), make_human_inputs(2, rng)
    with torch.no_grad(), CountOperations() as mode:
        model(images, humans, timestamps)
    blocks = sum(isinstance(module, Block) for module in model.modules())
    of_head_and_align = 2 * len(model.human.head.layers) + 2 * len(model.align.layers)
    assert mode.counts["aten._softmax"] == 0
    fused = sum(count for name, count in mode.counts.items() if "scaled_dot_product" in name)
    assert fused == blocks + of_head_and_align


_COMPILE_ENCODER = """
import torch
from network_models import make_clips, make_network

model, images = make_network("release"), make_clips(torch.Generator().manual_seed(0))[0].flatten(0, 1)
encoder = model.scene.encoder
with torch.no_grad():
    expected = encoder(images)
    model.compile_blocks()
    for count in (len(images), 2):
        torch.testing.assert_close(encoder(images[:count]), expected[:count], atol=1e-5, rtol=1e-5)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_blocks_give_the_same_tokens() -> None:
    """Of the encoder: every kind of block takes long to compile. In a process without the run-time shape checker."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", _COMPILE_ENCODER], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def gradients(model: UniSH, rng: torch.Generator) -> dict[str, Tensor]:
    images, timestamps = make_clips(rng)
    out = model(images, make_human_inputs(2, rng), timestamps)
    sum(value.square().mean() for value in vars(out).values() if value is not None).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_recomputing_gives_the_same_gradients() -> None:
    kept, recomputed = make_network("release"), make_network("release")
    recomputed.recompute_in_backward()
    expected = gradients(kept, torch.Generator().manual_seed(0))
    blocks = [module for module in recomputed.modules() if isinstance(module, Block)]
    with record_shapes(*(block.norm1 for block in blocks)) as calls:
        actual = gradients(recomputed, torch.Generator().manual_seed(0))
    assert len(calls) == 2 * len(blocks)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, atol=0, rtol=1e-6, msg=name)
    recomputed.recompute_in_backward(False)
    assert not any(block.recompute for block in blocks)
