"""The small scene branch: shapes, batch = single, still and blank clips, points that fit intrinsics and cameras."""

import pytest
import torch

from unish.geometry.camera import make_intrinsics, project
from unish.network.correspondence import CorrespondenceConfig, Matcher, list_pairs, query_points
from unish.network.decoder import DecoderConfig
from unish.network.dense_layers import resize_guided, upsample_convex, vary_style
from unish.network.encoders.efficientnet import EfficientNetLite0
from unish.network.small_scene import SmallScene, SmallSceneConfig, working_size

TINY = SmallSceneConfig(
    long_side=64,
    decoder=DecoderConfig(dim=32, depth=2, num_heads=2, num_special_tokens=2, layer_scale=None),
    widths=(16, 16, 16),
    correspondence=CorrespondenceConfig(channels=16, hidden=16),
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
    assert out.c2w.shape == (1, num_frames, 4, 4)
    assert out.hidden.shape[:2] == (1, num_frames)
    assert out.hidden.shape[-1] == scene.hidden_dim
    assert (out.local_points[..., 2] > 0).all()
    torch.testing.assert_close(out.c2w[:, 0], torch.eye(4).expand(1, 4, 4), atol=1e-6, rtol=0)


def test_batch_equals_single(scene: SmallScene) -> None:
    images = make_images(2, 3)
    with torch.no_grad():
        together, alone = scene(images), scene(images[1:])
    torch.testing.assert_close(together.local_points[1:], alone.local_points, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(together.c2w[1:], alone.c2w, atol=1e-5, rtol=0)


def test_points_project_to_their_own_pixels(scene: SmallScene) -> None:
    for intrinsics in (None, make_intrinsics(torch.full((1, 2), 70.0), 48, 64)):
        with torch.no_grad():
            out = scene(make_images(1, 2), intrinsics)
        pixels = project(out.local_points.flatten(2, 3), out.intrinsics)
        grid = torch.stack(torch.meshgrid(torch.arange(64) + 0.5, torch.arange(48) + 0.5, indexing="xy"), -1)
        torch.testing.assert_close(pixels[0, 0].unflatten(0, (48, 64)), grid, atol=1e-4, rtol=0)  # measured: 8e-6
        if intrinsics is not None:
            torch.testing.assert_close(out.intrinsics, intrinsics)


def test_still_clip_gives_still_cameras(scene: SmallScene) -> None:
    images = make_images(1, 1).expand(1, 4, -1, -1, -1)
    with torch.no_grad():
        out = scene(images)
    torch.testing.assert_close(out.c2w, torch.eye(4).expand_as(out.c2w), atol=1e-5, rtol=0)  # measured: 3e-7


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_blank_images_stay_finite(scene: SmallScene, value: float) -> None:
    with torch.no_grad():
        out = scene(torch.full((1, 3, 3, 48, 64), value))
    assert out.local_points.isfinite().all()
    assert out.c2w.isfinite().all()


def test_gradients_are_finite_and_reach_every_trained_part(scene: SmallScene) -> None:
    out = scene(make_images(1, 3), keep_training_outputs=True)
    loss = out.local_points.square().mean() + out.point_conf_logits.sum() + out.auxiliary["log_focal"].sum()
    for name in ("targets_px", "weight_logits", "log_probability", "first_to_second"):
        loss = loss + out.auxiliary[name].square().mean()
    loss.backward()
    for name, parameter in scene.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        else:
            assert name.startswith(("encoder.", "photo_prior.")), name
    scene.zero_grad()


def test_more_pairs_than_fit_at_once_change_nothing(scene: SmallScene) -> None:
    config = CorrespondenceConfig(channels=8, hidden=8, pairs_at_once=2)
    torch.manual_seed(1)
    matcher = Matcher(config, context_channels=4)
    whole = Matcher(CorrespondenceConfig(channels=8, hidden=8, pairs_at_once=100), context_channels=4)
    whole.load_state_dict(matcher.state_dict())
    features = torch.nn.functional.normalize(torch.randn(2, 5, 8, 8, 12), dim=2)
    context, pairs = torch.randn(2, 5, 4, 4, 6), list_pairs(5, (1, 2, 4))
    with torch.no_grad():
        torch.testing.assert_close(
            matcher(features, context, pairs).targets_px, whole(features, context, pairs).targets_px
        )


def test_matcher_finds_a_shift() -> None:
    """Distinct features moved by one query cell: the soft-argmax follows."""
    matcher = Matcher(CorrespondenceConfig(channels=32, hidden=8), context_channels=4)
    first = torch.nn.functional.normalize(
        torch.randn(1, 1, 32, 12, 16, generator=torch.Generator().manual_seed(0)), dim=2
    )
    second = first.roll(2, dims=-1)  # two target cells = one query cell = 8 pixels
    with torch.no_grad():
        matches = matcher(torch.cat([first, second], dim=1), torch.zeros(1, 2, 4, 6, 8), [(0, 1)])
    flow = matches.targets_px[0, 0, 0] - query_points(6, 8, like=matches.targets_px)
    inner = flow[1:-1, 1:5]
    assert (inner - torch.tensor([8.0, 0.0])).norm(dim=-1).median() < 1e-3  # pixels; measured: 9e-6


def test_pairs_begin_with_the_consecutive_ones() -> None:
    assert list_pairs(4, (2, 1, 4)) == [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]
    assert list_pairs(1, (1, 2)) == []


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
