"""Depth priors as networks: what goes into them, what comes out, and what it is said to be."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tiny_experts import save_depth_anything
from unish.network.depth_prior import DepthPrior, PriorView, find_depth_prior
from unish.network.depth_prior.depth_anything_v2 import input_size

INTRINSICS = torch.tensor([[80.0, 0, 64], [0, 80, 48], [0, 0, 1]])


def make_view(num_frames: int = 3, *, known: bool = False, size: tuple[int, int] = (96, 128)) -> PriorView:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(num_frames, 3, 6, 8, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return PriorView(
        images=(images * 255).round() / 255, intrinsics=INTRINSICS.expand(num_frames, 3, 3) if known else None,
        picture_size=size, frame_indices=tuple(range(num_frames)), positions=tuple(range(num_frames)),
        num_dense=num_frames,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (518, 686)), ((720, 1280), (518, 924)), ((1000, 500), (1036, 518)), ((518, 518), (518, 518))],
)
def test_depth_anything_sees_pictures_at_the_size_of_its_processor(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert input_size(*size) == expected


@pytest.mark.parametrize(("kind", "ours"), [("relative", "affine"), ("metric", "metric")])
def test_depth_anything_v2_is_shown_what_its_processor_would_show_it(tmp_path: Path, kind: str, ours: str) -> None:
    folder = save_depth_anything(tmp_path / kind, kind=kind)
    from transformers import DepthAnythingForDepthEstimation

    prior, view = find_depth_prior(str(folder)), make_view(2)
    assert isinstance(prior, DepthPrior)
    found = prior.estimate(view)
    assert found.kind == ours and found.values.shape == (2, 392, 518) and found.known.float().mean() > 0.9
    # With Pillow, whose bicubic filter the processor takes, on bytes.
    pictures = [Image.fromarray(np.asarray((image * 255).byte().permute(1, 2, 0))) for image in view.images]
    resized = np.stack([np.asarray(picture.resize((518, 392), Image.Resampling.BICUBIC)) for picture in pictures])
    shown = (torch.from_numpy(resized).permute(0, 3, 1, 2) / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) \
        / torch.tensor([0.229, 0.224, 0.225])[:, None, None]  # fmt: skip
    with torch.no_grad():
        expected = DepthAnythingForDepthEstimation.from_pretrained(folder)(pixel_values=shown).predicted_depth
    assert expected.std() > 0.005 * expected.mean()
    # Rounding to bytes, which the processor does and we do not, is 0.4 % of a colour.
    assert float((found.values - expected).abs().mean() / expected.std()) < 0.02
    alone = prior.estimate(make_view(1))
    torch.testing.assert_close(alone.values[0], found.values[0], rtol=1e-3, atol=1e-3)


class MadeMoge:
    """``moge.model.v2.MoGeModel`` as its documentation describes it."""

    told: list[float | None] = []  # noqa: RUF012

    @classmethod
    def from_pretrained(cls, name: str) -> MadeMoge:
        assert name == "some/weights"
        return cls()

    def to(self, device: str) -> MadeMoge:
        return self

    def eval(self) -> MadeMoge:
        return self

    def infer(self, image: torch.Tensor, *, fov_x: float | None = None, use_fp16: bool = True) -> dict:
        assert image.dim() == 3 and not use_fp16
        self.told.append(fov_x)
        depth = 2 + image.mean(0)
        depth[:10] = torch.inf
        matrix = torch.tensor([[0.5, 0, 0.5], [0, 0.5 * 128 / 96, 0.5], [0, 0, 1]])
        return {"depth": depth, "mask": depth < torch.inf, "intrinsics": matrix, "points": None}


def test_moge_2_is_metric_with_a_camera_of_its_own_unless_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("moge.model.v2")
    module.MoGeModel = MadeMoge  # type: ignore[attr-defined]
    for name in ("moge", "moge.model"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "moge.model.v2", module)
    MadeMoge.told.clear()
    prior = find_depth_prior("moge-2:some/weights")
    assert prior is not None and prior.licence == "MIT" and "some/weights" in prior.fingerprint
    found = prior.estimate(make_view(2))
    assert found.kind == "metric" and not found.known[:, :10].any() and found.known[:, 10:].all()
    assert found.focal == pytest.approx(0.5 * 128 / 160)  # over the diagonal of 96 × 128
    told = prior.estimate(make_view(2, known=True))
    assert told.focal is None
    wide = 2 * np.degrees(np.arctan(64 / 80))
    assert MadeMoge.told == [None, None, pytest.approx(wide, abs=1e-3), pytest.approx(wide, abs=1e-3)]


class MadeDepthAnything3:
    """``depth_anything_3.api.DepthAnything3`` as its documentation describes it; it answers at half of the size."""

    @classmethod
    def from_pretrained(cls, name: str) -> MadeDepthAnything3:
        return cls()

    def to(self, device: str) -> MadeDepthAnything3:
        return self

    def eval(self) -> MadeDepthAnything3:
        return self

    def inference(self, image: list[np.ndarray]) -> SimpleNamespace:
        assert all(one.dtype == np.uint8 and one.shape == (96, 128, 3) for one in image)
        depth = np.full((len(image), 48, 64), 3.0, np.float32)
        matrix = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]], np.float32)
        return SimpleNamespace(depth=depth, conf=depth, intrinsics=np.stack([matrix] * len(image)), extrinsics=None)


@pytest.fixture
def depth_anything_3(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("depth_anything_3.api")
    module.DepthAnything3 = MadeDepthAnything3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "depth_anything_3", ModuleType("depth_anything_3"))
    monkeypatch.setitem(sys.modules, "depth_anything_3.api", module)


@pytest.mark.parametrize(
    ("model", "known", "kind", "one_scale", "level", "licence"),
    [
        ("DA3-SMALL", False, "scale-free", True, 3.0, "Apache"),
        ("DA3-LARGE-1.1", False, "scale-free", True, 3.0, "not for commercial"),
        ("DA3MONO-LARGE", False, "scale-free", False, 3.0, "Apache"),
        ("DA3METRIC-LARGE", False, "scale-free", True, 3.0, "Apache"),
        # 80 pixels of 128 are 40 of the 64 that it computes at: 3 · 40 / 300.
        ("DA3METRIC-LARGE", True, "metric", False, 0.4, "Apache"),
        ("DA3NESTED-GIANT-LARGE", False, "metric", False, 3.0, "not for commercial"),
        # It believes in a focal length of 50, and 40 is right.
        ("DA3NESTED-GIANT-LARGE", True, "metric", False, 2.4, "not for commercial"),
    ],
)
def test_what_depth_anything_3_gives_follows_from_the_model(
    depth_anything_3: None, model: str, known: bool, kind: str, one_scale: bool, level: float, licence: str
) -> None:
    prior = find_depth_prior(f"depth-anything-3:depth-anything/{model}")
    assert prior is not None and licence in prior.licence
    found = prior.estimate(make_view(2, known=known))
    assert (found.kind, found.one_scale) == (kind, one_scale)
    torch.testing.assert_close(found.values, torch.full((2, 48, 64), level))
    own = not known and not model.startswith(("DA3METRIC", "DA3MONO"))
    assert found.focal == (pytest.approx(100 / 160) if own else None)
