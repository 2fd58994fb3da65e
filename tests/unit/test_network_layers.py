"""Layers, rotary embeddings and the alternating decoder: laws that hold for any weights."""

from __future__ import annotations

import math

import pytest
import torch

from unish.network.align_net import time_positions
from unish.network.decoder import AlternatingDecoder, DecoderConfig
from unish.network.heads.camera import project_to_rotation
from unish.network.heads.points import points_from_log_depth
from unish.network.layers import Attention, attend
from unish.network.rope import grid_positions, rotary_1d, rotary_2d


def _decoder() -> AlternatingDecoder:
    torch.manual_seed(0)
    decoder = AlternatingDecoder(DecoderConfig(dim=32, depth=4, num_heads=2, num_special_tokens=3, layer_scale=0.5))
    decoder.special_tokens.data.normal_()
    return decoder.eval()


def test_attention_equals_the_slow_formula(rng) -> None:
    layer = Attention(24, 3, qk_norm=True)
    x = torch.randn(2, 5, 24, generator=rng)
    rotary = rotary_2d(torch.randint(0, 9, (5, 2), generator=rng), 8)
    qkv = layer.qkv(x)
    expected = torch.empty(2, 5, 24)
    for item in range(2):
        for head in range(3):
            q, k, v = (qkv[item, :, part * 24 + head * 8 : part * 24 + head * 8 + 8] for part in range(3))
            q, k = rotary.rotate(layer.q_norm(q)), rotary.rotate(layer.k_norm(k))
            weights = (q @ k.T / math.sqrt(8)).softmax(-1)
            expected[item, :, head * 8 : head * 8 + 8] = weights @ v
    torch.testing.assert_close(layer(x, rotary), layer.proj(expected), atol=1e-5, rtol=1e-5)


def test_keys_that_are_not_valid_have_no_say(rng) -> None:
    query, key, value = (torch.randn(2, 4, 8, generator=rng) for _ in range(3))
    valid = torch.tensor([[True, True, False, True], [True, False, False, False]])
    out = attend(query, key, value, num_heads=2, key_valid=valid)
    key[~valid], value[~valid] = 100.0, 100.0
    torch.testing.assert_close(attend(query, key, value, num_heads=2, key_valid=valid), out)
    torch.testing.assert_close(out[1], value[1, :1].expand(4, 8))


@pytest.mark.parametrize("offset", [1, 7])
def test_rotary_scores_depend_on_distance_alone(rng, offset) -> None:
    q, k = torch.randn(1, 16, generator=rng), torch.randn(1, 16, generator=rng)

    def score(a: int, b: int) -> torch.Tensor:
        turn = [rotary_1d(torch.tensor([p]), 16) for p in (a, b)]
        return turn[0].rotate(q) @ turn[1].rotate(k).T

    torch.testing.assert_close(score(2, 5), score(2 + offset, 5 + offset), atol=1e-5, rtol=1e-5)


def test_rotary_keeps_lengths_and_leaves_the_origin(rng) -> None:
    x = torch.randn(2, 6, 12, generator=rng)
    rotary = rotary_2d(grid_positions(2, 2, num_special=2), 12)
    turned = rotary.rotate(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[:, :2], x[:, :2])
    assert not torch.allclose(turned[:, 2:], x[:, 2:])


def test_long_time_tables_are_stretched_for_each_clip_alone() -> None:
    positions = torch.stack([torch.arange(6) * 40, torch.arange(6)])
    both = rotary_1d(positions, 16, max_length=120)
    for item in range(2):
        alone = rotary_1d(positions[item], 16, max_length=120)
        torch.testing.assert_close(both.cos[item], alone.cos)
    torch.testing.assert_close(both.cos[1], rotary_1d(positions[1], 16).cos)
    torch.testing.assert_close(both.cos[0, -1], rotary_1d(torch.tensor([119]), 16).cos[0], atol=1e-4, rtol=1e-4)


def test_time_positions_count_from_the_first_frame() -> None:
    seconds = torch.tensor([[10.0, 10.25, 10.5, 11.0], [0.0, 1 / 12, 2 / 12, 3 / 12]], dtype=torch.float64)
    assert time_positions(seconds, 6.0).tolist() == [[0, 2, 3, 6], [0, 0, 1, 2]]


def test_a_batch_of_clips_equals_its_clips(rng) -> None:
    decoder, patches = _decoder(), torch.randn(3, 2, 6, 32, generator=rng)
    together = decoder(patches, (2, 3))
    for clip in range(3):
        torch.testing.assert_close(together[clip : clip + 1], decoder(patches[clip : clip + 1], (2, 3)))


def test_frames_in_another_order_give_the_same_tokens_in_that_order(rng) -> None:
    decoder, patches = _decoder(), torch.randn(1, 4, 6, 32, generator=rng)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(decoder(patches[:, order], (2, 3)), decoder(patches, (2, 3))[:, order])


def test_frames_see_one_another(rng) -> None:
    """Another second frame changes every token of the first one, from the first block over the clip on.

    The second frame is exchanged, not shifted: LayerNorm removes a constant, and what is left of it is rounding. The
    tokens, whose mean size is 0.8, change by 0.019 or more each; exact repeats differ by rounding, 1e-6.
    """
    decoder, patches = _decoder(), torch.randn(1, 2, 6, 32, generator=rng)
    other = torch.cat([patches[:, :1], torch.randn(1, 1, 6, 32, generator=rng)], dim=1)
    within, across = (decoder(other, (2, 3)) - decoder(patches, (2, 3)))[0, 0].abs().unflatten(-1, (2, 32)).unbind(-2)
    assert within.mean(-1).min() > 0.01 and across.mean(-1).min() > 0.01
    decoder.blocks = decoder.blocks[:2]  # the first frame block alone: it looks at its own frame only
    within, across = (decoder(other, (2, 3)) - decoder(patches, (2, 3)))[0, 0].abs().unflatten(-1, (2, 32)).unbind(-2)
    assert within.max() < 1e-5 and across.mean(-1).min() > 0.01


def test_an_odd_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        DecoderConfig(depth=3)


def test_a_wrong_shape_is_refused(rng) -> None:
    with pytest.raises(Exception, match="type"):
        _decoder()(torch.randn(2, 6, 32, generator=rng), (2, 3))


def test_projection_gives_the_nearest_rotation(rng) -> None:
    matrix = torch.randn(64, 3, 3, generator=rng, dtype=torch.float64)
    rotation = project_to_rotation(matrix)
    eye = torch.eye(3, dtype=torch.float64).expand(64, 3, 3)
    torch.testing.assert_close(rotation @ rotation.mT, eye)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(64, dtype=torch.float64))
    rows = torch.nn.functional.normalize(matrix, dim=-1)
    best = (rotation - rows).square().sum((-1, -2))
    for other in project_to_rotation(torch.randn(50, 3, 3, generator=rng, dtype=torch.float64)):
        assert (best <= (other - rows).square().sum((-1, -2)) + 1e-12).all()
    torch.testing.assert_close(project_to_rotation(rotation), rotation)


def test_points_keep_their_ray_and_lie_in_front() -> None:
    points = points_from_log_depth(torch.tensor([[0.5, -0.25, 2.0], [0.5, -0.25, -3.0]]))
    torch.testing.assert_close(points[:, :2] / points[:, 2:], torch.tensor([[0.5, -0.25]]).expand(2, 2))
    torch.testing.assert_close(points[:, 2], torch.tensor([2.0, -3.0]).exp())
