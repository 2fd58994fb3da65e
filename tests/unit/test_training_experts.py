"""Experts: whose depth is pasted where, what files say, what is missing, and that the relief of a crop means slopes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from unish.errors import InputError
from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.crop_box import CropBox
from unish.geometry.surfaces import normals_from_points
from unish.lab.datasets.source import SourceNotes
from unish.lab.training.experts import CropExpert, FileExpert, MogeExpert, write_frames
from unish.lab.training.experts.crop import find_boxes
from unish.lab.training.experts.crop_training import CropBatch, CropBatches, CropWeights, crop_loss, true_relief
from unish.lab.training.experts.protocol import DepthExpert, ExpertView
from unish.network.crop_net import CropNet, CropNetConfig

SIZE = (60, 80)
TINY = CropNetConfig(size=32, widths=(8, 8, 8, 8))


class Answer(torch.nn.Module):
    """Says the same to everything."""

    def __init__(self, relief: torch.Tensor) -> None:
        super().__init__()
        self.relief = relief

    def forward(self, *_: torch.Tensor) -> torch.Tensor:
        return self.relief


def make_view(*, frames: int = 2) -> ExpertView:
    """Two people: rows 10–40 of columns 5–20, and rows 20–55 of columns 50–75 (its feet and right side cut off)."""
    ids = torch.full((frames, *SIZE), -1)
    ids[:, 10:40, 5:20] = 0
    ids[:, 20:55, 50:75] = 1
    generator = torch.Generator().manual_seed(0)
    camera = make_intrinsics(torch.full((frames,), 90.0), *SIZE)
    return ExpertView(
        images=torch.rand(frames, 3, *SIZE, generator=generator), person_ids=ids, intrinsics=camera, clip=7
    )


def make_slope(view: ExpertView, *, slope: tuple[float, float]) -> dict[str, np.ndarray]:
    """A plane z = 3 + a·x + b·y before the camera, everywhere, as a clip of one frame."""
    ray = unproject(torch.ones(1, *SIZE), view.intrinsics[:1])
    depth = 3 / (1 - slope[0] * ray[..., 0] - slope[1] * ray[..., 1])
    arrays = {"depth": depth, "ids": view.person_ids[:1], "intrinsics": view.intrinsics[:1]}
    return {name: value.numpy() for name, value in arrays.items()}


def test_boxes_are_squares_around_everybody_who_is_large_enough() -> None:
    view = make_view()
    view.person_ids[1, 2:5, 2:5] = 2  # nine pixels
    boxes = list(find_boxes(view.person_ids, margin=1.0))
    assert [(box.frame, box.person) for box in boxes] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (boxes[0].side, boxes[0].top, boxes[0].left) == (30, 10, -3)
    assert (boxes[1].side, boxes[1].top, boxes[1].left) == (35, 20, 45)


@pytest.mark.parametrize("box", [(3, 5, 16), (-6, -9, 40), (60, 30, 32)])
def test_what_is_cut_and_pasted_comes_back_in_its_place(box: tuple[int, int, int]) -> None:
    left, top, side = box
    square = CropBox(frame=0, person=0, left=left, top=top, side=side)
    picture = torch.rand(1, *SIZE)
    pasted = square.paste(square.cut(picture, side)[0], SIZE)
    rows, columns = torch.arange(SIZE[0])[:, None], torch.arange(SIZE[1])
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    torch.testing.assert_close(pasted, torch.where(inside, picture[0], 0.0))


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.4, -0.3)])
def test_the_relief_of_the_truth_gives_the_true_normals(
    slope: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the crop and back, at the side of the picture, too; measured: at most 3.0° of weak perspective."""
    view = make_view(frames=1)
    arrays = make_slope(view, slope=slope)
    reliefs = iter([true_relief(arrays, box, 32)[0] for box in find_boxes(view.person_ids)])
    expert = CropExpert(CropNet(TINY))
    monkeypatch.setattr(expert, "model", lambda *_: next(reliefs)[None])
    expert.model.config = TINY
    depth = expert.estimate(view)
    for person in (0, 1):
        inner = torch.zeros(SIZE, dtype=torch.bool)
        rows, columns = (view.person_ids[0] == person).nonzero(as_tuple=True)
        inner[rows.min() + 4 : rows.max() - 4, columns.min() + 3 : columns.max() - 3] = True
        found, _ = normals_from_points(unproject(depth, view.intrinsics), inner[None])
        truth, exists = normals_from_points(unproject(torch.from_numpy(arrays["depth"]), view.intrinsics), inner[None])
        angle = (found * truth).sum(-1).clamp(-1, 1).acos().rad2deg()[exists]
        assert angle.median() < 3.5


def test_the_loss_of_crops_knows_no_offset_but_knows_slopes() -> None:
    """Relief that rises by a quarter of a side across the crop: 14° at every pixel; an offset of each crop is free."""
    rising = (torch.arange(32) / 128).expand(2, 32, 32)
    masks = torch.zeros(2, 32, 32, dtype=torch.bool)
    masks[:, 4:28, 4:28] = True
    batch = CropBatch(images=torch.zeros(2, 3, 32, 32), masks=masks, relief=rising * masks, known=masks)
    weights = CropWeights(relief=1.0, normals=1.0)
    offset = torch.tensor([0.3, -2.0])[:, None, None]
    exact, _ = crop_loss(Answer(rising + offset), batch, weights)
    assert exact < 1e-3
    _, terms = crop_loss(Answer(torch.zeros(2, 32, 32)), batch, weights)
    assert float(terms["normals"]) == pytest.approx(np.arctan(0.25), abs=1e-3)
    assert float(terms["relief"]) == pytest.approx(24 / 128 / 4, rel=0.05)


def test_crops_for_training_repeat_and_their_relief_is_that_of_the_person() -> None:
    view = make_view(frames=1)
    view.person_ids[:] = -1
    view.person_ids[:, 15:45, 30:50] = 0  # in the middle of the picture, where rays are parallel to z
    arrays = make_slope(view, slope=(0.4, 0.0))
    arrays["images"] = (view.images[:1].permute(0, 2, 3, 1) * 255).byte().numpy()

    class Source:
        def __len__(self) -> int:
            return 20

        def size(self, index: int) -> tuple[int, int]:
            return SIZE

        def describe(self) -> SourceNotes:
            return SourceNotes(name="slope", licence="", trains_shipped_weights=True, arrays=tuple(arrays))

        def load(self, *_: object, **__: object) -> dict[str, np.ndarray]:
            return arrays

    batches = CropBatches(Source(), 32, 6)
    first, again = batches(3), batches(3)
    assert torch.equal(first.images, again.images) and torch.equal(first.relief, again.relief)
    assert not torch.equal(first.images, batches(4).images)
    assert first.known.flatten(1).any(1).all()
    whole = (first.known <= first.masks).flatten(1).all(1)
    assert whole.any() and not whole.all(), "half of the masks cut into the person or take in the wall"
    apart = (first.known != first.masks).flatten(1).float().mean(1)
    assert apart.max() < 0.2, "a wrong mask is still one of this person"
    across = (first.relief[:, :, 1:] - first.relief[:, :, :-1])[first.known[:, :, 1:] & first.known[:, :, :-1]]
    steps = across.abs() * 32
    assert float(steps.median()) == pytest.approx(0.4, abs=0.02), "a slope of 0.4 has 0.4 sides of relief per side"
    assert (across > 0).any() and (across < 0).any(), "half of the crops are mirrored"


def test_the_crop_expert_knows_people_alone_and_everybody_by_himself() -> None:
    torch.manual_seed(0)
    expert = CropExpert(CropNet(TINY))
    torch.nn.init.normal_(expert.model.relief.weight)
    assert isinstance(expert, DepthExpert)
    view = make_view()
    depth = expert.estimate(view)
    assert depth.shape == view.person_ids.shape
    assert torch.equal(depth > 0, view.person_ids >= 0)
    alone = ExpertView(
        images=view.images, person_ids=torch.where(view.person_ids == 1, 1, -1), intrinsics=view.intrinsics, clip=0
    )
    torch.testing.assert_close(expert.estimate(alone), torch.where(view.person_ids == 1, depth, 0.0))


def test_files_are_read_in_every_form_and_people_kept(tmp_path: Path) -> None:
    view = make_view(frames=3)
    depth = np.random.default_rng(0).uniform(1, 4, (3, *SIZE)).astype(np.float32)
    depth[0, 15, 10] = np.nan
    folder = tmp_path / "000007" / "depth"
    folder.mkdir(parents=True)
    np.save(folder / "000.npy", depth[0])
    np.savez(folder / "001.npz", depth=depth[1])
    Image.fromarray((depth[2] * 1000).astype(np.uint16)).save(folder / "002.png")
    found = FileExpert(tmp_path).estimate(view)
    wanted = np.nan_to_num(depth) * (view.person_ids.numpy() >= 0)
    np.testing.assert_allclose(found[:2], wanted[:2])
    np.testing.assert_allclose(found[2], wanted[2], atol=1e-3)
    (folder / "001.npz").unlink()
    with pytest.raises(InputError, match="001"):
        FileExpert(tmp_path).estimate(view)
    np.save(folder / "001.npy", depth[1, :10])
    with pytest.raises(InputError, match="depth is"):
        FileExpert(tmp_path).estimate(view)


def test_frames_for_another_network_are_the_pictures(tmp_path: Path) -> None:
    view = make_view()
    write_frames([view], tmp_path)
    picture = np.asarray(Image.open(tmp_path / "000007" / "images" / "001.png"))
    np.testing.assert_allclose(picture / 255, view.images[1].permute(1, 2, 0), atol=0.51 / 255)


def test_moge_that_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moge.model.v2", None)
    with pytest.raises(InputError, match="pip install"):
        MogeExpert()


def test_depth_of_moge_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the documented surface: ``from_pretrained``, ``infer`` of (3, H, W), ∞ where it masks."""
    asked = SimpleNamespace(weights=None, fov=[])

    class Model(torch.nn.Module):
        @classmethod
        def from_pretrained(cls, weights: str) -> Model:
            asked.weights = weights
            return cls()

        def infer(self, image: torch.Tensor, *, fov_x: float, use_fp16: bool) -> dict[str, torch.Tensor]:
            assert image.shape == (3, *SIZE) and not use_fp16
            asked.fov.append(fov_x)
            depth = 2 + image[0]
            depth[30:] = torch.inf
            return {"depth": depth, "mask": depth.isfinite()}

    module = ModuleType("moge.model.v2")
    module.MoGeModel = Model  # type: ignore[attr-defined]
    for name in ("moge", "moge.model"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "moge.model.v2", module)
    view = make_view()
    depth = MogeExpert("some/weights").estimate(view)
    known = (view.person_ids >= 0) & (torch.arange(SIZE[0])[:, None] < 30)
    torch.testing.assert_close(depth, torch.where(known, 2 + view.images[:, 0], 0.0))
    assert asked.weights == "some/weights"
    assert asked.fov == pytest.approx([2 * np.degrees(np.arctan(40 / 90))] * 2)
