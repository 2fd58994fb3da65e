"""The frozen single-photograph depth network, how the scene branch reads it, and its correction in training."""

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unish.errors import InputError
from unish.geometry.camera import make_intrinsics
from unish.lab.training import depth_prior_correction
from unish.lab.training.data import SceneBatch
from unish.lab.training.depth_prior_correction import LEVEL_SHARES, SHAPE_SHARES, correct_depth_prior, smooth_error
from unish.lab.training.published import fetch_depth_prior
from unish.network.config import tiny_config
from unish.network.encoders.fastdepth import FOCAL_PX, NEAREST_M, FastDepth, convert_published_weights, input_size
from unish.network.small_scene import SmallScene, SmallSceneConfig

_LAYERS = 38


def make_published() -> dict[str, Tensor]:
    """Arrays in the order and shapes of the published file, with random values of sensible size."""
    torch.manual_seed(0)
    published: dict[str, Tensor] = {}
    for index, (name, module) in enumerate(
        (n, m) for n, m in FastDepth().named_modules() if isinstance(m, torch.nn.Conv2d)
    ):
        width = module.out_channels
        fan_in = module.weight[0].numel()
        arrays = {
            "kernel": torch.randn_like(module.weight) * (2 / fan_in) ** 0.5,
            "gain": 0.5 + torch.rand(width),
            "offset": 0.1 * torch.randn(width) + (2.0 if name == "out" else 0.0),
            "mean": 0.1 * torch.randn(width),
            "variance": 0.5 + torch.rand(width),
            "counter": torch.tensor(7),
        }
        published |= {f"{index}.{name}.{key}": value.detach() for key, value in arrays.items()}
    return published


def run_slowly(images: Tensor, published: dict[str, Tensor]) -> Tensor:
    """The published graph, layer by layer with its batch normalisations, from the paper's description."""
    arrays = iter([value for value in published.values() if value.dim() > 0])

    def layer(x: Tensor, activate: Callable[[Tensor], Tensor], stride: int = 1) -> Tensor:
        kernel, gain, offset, mean, variance = (next(arrays) for _ in range(5))
        groups = x.shape[1] if kernel.shape[1] == 1 and kernel.shape[-1] > 1 else 1
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
        return activate(functional.batch_norm(x, mean, variance, gain, offset, eps=1e-5))

    def relu6(x: Tensor) -> Tensor:
        return x.clamp(0, 6)

    x = layer(images, relu6, stride=2)
    outputs = []
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        x = layer(layer(x, relu6, stride=stride), relu6)
        outputs.append(x)
    for block in range(5):
        x = layer(layer(x, functional.relu), functional.relu).repeat_interleave(2, -1).repeat_interleave(2, -2)
        if block in (1, 2, 3):
            x = x + {1: outputs[4], 2: outputs[2], 3: outputs[0]}[block]
    return layer(x, functional.relu)[:, 0].clamp_min(NEAREST_M)


def test_folded_weights_compute_what_the_published_layers_compute() -> None:
    published = make_published()
    assert len(published) == 6 * _LAYERS
    network = FastDepth()
    network.load_state_dict(convert_published_weights(published))
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        fast, slow = network(images), run_slowly(images, published)
    assert slow.std() > 0.1
    torch.testing.assert_close(fast, slow, atol=1e-4, rtol=1e-3)


def test_other_files_are_refused() -> None:
    published = make_published()
    published.popitem()
    published.popitem()
    with pytest.raises(ValueError, match="not the published FastDepth"):
        convert_published_weights(published)


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (224, 224)), ((720, 1280), (192, 256)), ((1280, 720), (352, 160))]
)
def test_input_sizes_keep_the_squashed_aspect_and_the_area(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert input_size(*size, 224) == expected


def make_scene(**changes: object) -> SmallScene:
    torch.manual_seed(0)
    config = tiny_config().scene
    assert isinstance(config, SmallSceneConfig)
    scene = SmallScene(replace(config, **changes)).eval()
    if scene.photo_prior is not None:
        scene.photo_prior.load_state_dict(convert_published_weights(make_published()))
    return scene


def test_what_is_trusted_grows_with_the_focal_length() -> None:
    scene = make_scene()
    assert scene.dense_head.trust is not None
    torch.nn.init.constant_(scene.dense_head.trust.bias, 30.0)
    images = torch.rand(1, 2, 3, 48, 64)
    with torch.no_grad():
        near, far = (
            scene(images, make_intrinsics(torch.full((1, 2), focal), 48, 64)).local_points[..., 2]
            for focal in (50.0, 100.0)
        )
    torch.testing.assert_close(far, 2 * near, rtol=1e-4, atol=0)
    # The prior's own camera sees its depth as it is.
    rows, _ = input_size(48, 64, scene.config.photo_side)
    own = make_intrinsics(torch.full((1, 2), FOCAL_PX * 48 / rows), 48, 64)
    with torch.no_grad():
        depth = scene(images, own).local_points[..., 2]
        prior = scene.predict_depth_prior(images, (48, 64)).exp()
    assert depth.min() >= prior.min() * 0.999
    assert depth.max() <= prior.max() * 1.001


def test_trust_decides_and_a_network_without_prior_has_none() -> None:
    images = torch.rand(1, 1, 3, 48, 64)
    scene = make_scene()
    assert scene.dense_head.trust is not None
    with torch.no_grad():
        torch.nn.init.constant_(scene.dense_head.trust.bias, -30.0)
        distrusted = scene(images).local_points[..., 2]
    assert distrusted.log().std() < 1e-5  # a fresh row-wise depth prior is flat, and nothing departs from it yet
    without = make_scene(photo_side=0)
    assert without.photo_prior is None
    assert not [name for name in without.state_dict() if "photo" in name or "trust" in name]
    with torch.no_grad():
        torch.testing.assert_close(without(images).local_points[..., 2], distrusted, rtol=1e-4, atol=0)


def make_batch(depth: Tensor, images: Tensor) -> SceneBatch:
    clips, frames = depth.shape[:2]
    return SceneBatch(
        images=images,
        depth=depth,
        person_ids=torch.full(depth.shape, -1),
        intrinsics=make_intrinsics(torch.full((clips, frames), 50.0), 48, 64),
        c2w=torch.eye(4).expand(clips, frames, 4, 4),
    )


@pytest.fixture
def always_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth_prior_correction, "CORRECTED_SHARE", 1.0)


@pytest.mark.usefixtures("always_corrected")
def test_correction_removes_a_share_of_the_error_within_range_only() -> None:
    scene = make_scene()
    images = torch.rand(3, 2, 3, 48, 64)
    prior = scene.predict_depth_prior(images, (48, 64)).clamp(-1.0, 1.0)
    scene.predict_depth_prior = lambda *_: prior  # type: ignore[method-assign]
    ratio = scene.log_focal_ratio(make_intrinsics(torch.full((3, 2), 50.0), 48, 64), (48, 64))
    prior_metric = (prior + ratio).exp().flatten(0, 1)[:, None]
    depth = functional.interpolate(prior_metric, (48, 64), mode="nearest")[:, 0].unflatten(0, (3, 2))
    depth = depth * torch.tensor([1.0, 1.5, 100.0])[:, None, None, None]  # exact, half too near, out of range
    batch = make_batch(depth, images)
    error = smooth_error(scene, batch, prior)
    torch.testing.assert_close(error[0], torch.zeros_like(error[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(error[1], torch.full_like(error[1], 1.5).log(), atol=1e-4, rtol=0)
    assert not error[2].any()
    torch.manual_seed(1)
    corrected = correct_depth_prior(scene, batch)
    moved = (corrected - prior).mean(dim=(1, 2, 3)) / torch.tensor(1.5).log()
    assert LEVEL_SHARES[0] <= moved[1] <= LEVEL_SHARES[1]
    assert not moved[[0, 2]].abs().gt(1e-4).any()


def test_some_clips_get_no_correction() -> None:
    scene = make_scene()
    prior = torch.zeros(64, 1, 16, 16)
    scene.predict_depth_prior = lambda *_: prior  # type: ignore[method-assign]
    batch = replace(
        make_batch(torch.full((64, 1, 64, 64), 2.0), torch.rand(64, 1, 3, 64, 64)),
        intrinsics=make_intrinsics(torch.full((64, 1), 50.0), 64, 64),
    )
    torch.manual_seed(4)
    uncorrected = (correct_depth_prior(scene, batch) == prior).flatten(1).all(1)
    assert 6 <= uncorrected.sum() <= 28  # 16 ± 3.5 standard deviations of 64 draws


@pytest.mark.usefixtures("always_corrected")
def test_correction_of_shape_stays_within_its_bounds() -> None:
    scene = make_scene()
    images = torch.rand(1, 1, 3, 64, 64)
    prior = torch.zeros(1, 1, 16, 16)
    scene.predict_depth_prior = lambda *_: prior  # type: ignore[method-assign]
    ratio = scene.log_focal_ratio(make_intrinsics(torch.full((1, 1), 50.0), 64, 64), (64, 64))
    tilt = torch.linspace(-0.5, 0.5, 64)[:, None].expand(64, 64)
    depth = (ratio + tilt).exp()
    batch = replace(make_batch(depth, images), intrinsics=make_intrinsics(torch.full((1, 1), 50.0), 64, 64))
    torch.manual_seed(2)
    corrected = correct_depth_prior(scene, batch)
    share = corrected[0, 0, 6:10].diff(dim=0).mean() / tilt[::4].diff(dim=0)[0, 0]
    assert SHAPE_SHARES[0] * 0.9 <= share <= SHAPE_SHARES[1] * 1.1


@pytest.mark.usefixtures("always_corrected")
def test_people_get_no_correction_of_their_shape() -> None:
    scene = make_scene()
    prior = torch.zeros(1, 1, 16, 16)
    scene.predict_depth_prior = lambda *_: prior  # type: ignore[method-assign]
    batch = make_batch(torch.full((1, 1, 64, 64), 2.0), torch.rand(1, 1, 3, 64, 64))
    batch.depth[..., 32:, :] = 4.0
    batch.person_ids[..., 32:, :] = 0
    error = smooth_error(scene, batch, prior)[0, 0, 0, 0]
    torch.manual_seed(3)
    moved = correct_depth_prior(scene, batch)[0, 0]
    assert moved[8:].std() < 1e-5  # the level of everything else, and nothing of their own
    assert LEVEL_SHARES[0] * 0.9 * error <= moved[12, 0] <= LEVEL_SHARES[1] * error


def test_without_the_reader_of_its_format_the_published_file_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="pip install onnx"):
        fetch_depth_prior()
