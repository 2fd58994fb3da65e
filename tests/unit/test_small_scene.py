"""The small scene branch: shapes, batch = single, blank clips, points that fit their intrinsics."""

import pytest
import torch

from unish.geometry.camera import make_intrinsics, project
from unish.network.decoder import DecoderConfig
from unish.network.dense_layers import resize_guided, upsample_convex, vary_style
from unish.network.encoders.efficientnet import EfficientNetLite0
from unish.network.small_scene import SmallScene, SmallSceneConfig, working_size

TINY = SmallSceneConfig(
    long_side=64,
    decoder=DecoderConfig(dim=32, depth=2, num_heads=2, num_special_tokens=2, layer_scale=None),
    widths=(16, 16, 16),
)


@pytest.fixture(scope="module")
def scene() -> SmallScene:
    torch.manual_seed(0)
    return SmallScene(TINY).eval()


def make_images(num_clips: int, num_frames: int, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    return torch.rand(num_clips, num_frames, 3, *size, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("num_frames", "size"), [(1, (48, 64)), (3, (48, 64)), (2, (37, 101)), (6, (90, 40))])
def test_shapes_of_any_clip(scene: SmallScene, num_frames: int, size: tuple[int, int]) -> None:
    with torch.no_grad():
        out = scene(make_images(1, num_frames, size))
    assert out.local_points.shape == (1, num_frames, *size, 3)
    assert out.point_conf_logits.shape == (1, num_frames, *size)
    assert out.hidden.shape[:2] == (1, num_frames)
    assert out.hidden.shape[-1] == scene.hidden_dim
    assert (out.local_points[..., 2] > 0).all()
    assert torch.equal(out.c2w, torch.eye(4).expand(1, num_frames, 4, 4)), "cameras are solved after the branch"


def test_batch_equals_single(scene: SmallScene) -> None:
    images = make_images(2, 3)
    with torch.no_grad():
        together, alone = scene(images), scene(images[1:])
    torch.testing.assert_close(together.local_points[1:], alone.local_points, atol=1e-4, rtol=1e-3)


def test_points_project_to_their_own_pixels(scene: SmallScene) -> None:
    for intrinsics in (None, make_intrinsics(torch.full((1, 2), 70.0), 48, 64)):
        with torch.no_grad():
            out = scene(make_images(1, 2), intrinsics)
        pixels = project(out.local_points.flatten(2, 3), out.intrinsics)
        grid = torch.stack(torch.meshgrid(torch.arange(64) + 0.5, torch.arange(48) + 0.5, indexing="xy"), -1)
        torch.testing.assert_close(pixels[0, 0].unflatten(0, (48, 64)), grid, atol=1e-4, rtol=0)  # measured: 8e-6
        if intrinsics is not None:
            torch.testing.assert_close(out.intrinsics, intrinsics)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_blank_images_stay_finite(scene: SmallScene, value: float) -> None:
    with torch.no_grad():
        out = scene(torch.full((1, 3, 3, 48, 64), value))
    assert out.local_points.isfinite().all()


def test_gradients_are_finite_and_reach_every_trained_part(scene: SmallScene) -> None:
    out = scene(make_images(1, 3))
    loss = out.local_points.square().mean() + out.point_conf_logits.sum() + out.auxiliary["log_focal"].sum()
    loss.backward()
    for name, parameter in scene.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        else:
            assert name.startswith(("encoder.", "photo_prior.")), name
    scene.zero_grad()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (192, 256)), ((720, 1280), (144, 256)), ((1000, 50), (256, 32)), ((1, 1), (256, 256))],
)
def test_working_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert working_size(*size, 256) == expected


def test_convex_upsampling_keeps_constants_and_bounds() -> None:
    logits = torch.randn(2, 144, 3, 5)
    torch.testing.assert_close(upsample_convex(torch.full((2, 3, 5), 1.5), logits), torch.full((2, 12, 20), 1.5))
    coarse = torch.randn(2, 3, 5)
    fine = upsample_convex(coarse, logits)
    assert fine.max() <= coarse.max() + 1e-5
    assert fine.min() >= coarse.min() - 1e-5


def test_guided_resizing_keeps_edges_where_colours_change() -> None:
    left = torch.arange(64).expand(1, 48, 64) < 30
    images = torch.where(left[:, None], 0.2, 0.8).expand(1, 3, 48, 64)
    small = torch.nn.functional.interpolate(images, (12, 16), mode="bilinear", antialias=True)
    depth = torch.where(torch.arange(16) < 7.5, 1.0, 3.0).expand(1, 12, 16)
    fine = resize_guided(depth, small, images)
    between = ((fine > 1.1) & (fine < 2.9)).float().mean()
    plain = torch.nn.functional.interpolate(depth[:, None], (48, 64), mode="bilinear")
    assert between < 0.5 * ((plain > 1.1) & (plain < 2.9)).float().mean()
    torch.testing.assert_close(resize_guided(depth, small, small), depth)


def test_encoder_strides() -> None:
    with torch.no_grad():
        features = EfficientNetLite0()(torch.rand(1, 3, 32, 48))
    assert [tuple(level.shape[1:]) for level in features] == [(24, 8, 12), (40, 4, 6), (112, 2, 3)]


def test_varied_features_keep_their_layout_and_are_finite() -> None:
    torch.manual_seed(0)
    layout = torch.randn(1, 8, 12, 16)
    clip = layout.expand(4, -1, -1, -1)  # four equal frames
    alike = []
    for _ in range(20):
        (varied,) = vary_style([torch.cat([clip, 2 * clip + 1])], num_clips=2)
        assert varied.shape == (8, 8, 12, 16) and bool(torch.isfinite(varied).all())
        # Statistics are those of the clip, not of a frame; the noise averages out.
        torch.testing.assert_close(varied[0].mean((1, 2)), varied[1].mean((1, 2)), atol=0.5, rtol=0.2)
        alike.append(torch.corrcoef(torch.stack([varied[0].flatten(1)[0], layout[0, 0].flatten()]))[0, 1])
    assert float(torch.stack(alike).nanmedian()) > 0.9
