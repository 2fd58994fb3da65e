"""RT-DETR, ViTPose and SAM 2 behind the Protocols of the people stage: tiny real models, and answers that are known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from tiny_experts import save_rt_detr, save_sam2, save_vitpose
from unish.errors import InputError
from unish.people import PeopleConfig, PeopleModels
from unish.people.experts import PeopleExperts, find_people_experts, rt_detr, sam2, vitpose
from unish.people.protocols import Detector, KeypointModel, Observation, Segmenter
from unish.people.regions import Region

SIZE = (120, 160)


def make_picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic")[0].clamp(0, 1)


def as_bytes(picture: torch.Tensor) -> torch.Tensor:
    return (picture * 255).round().byte().permute(1, 2, 0)


class Made:
    """Stands for what ships with the package."""

    def detect(self, images: object) -> list:
        return []

    def find_regions(self, picture: object, around: object) -> list:
        return []

    def read_pose(self, picture: object, region: object) -> None:
        return None


def see(box: tuple[float, float, float, float]) -> Observation:
    return Observation(box_xyxy=np.array(box, np.float64), score=1.0, appearance=np.zeros(4))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("experts")
    return {
        "rt-detr": save_rt_detr(place / "boxes"), "vitpose": save_vitpose(place / "points"),
        "vitpose++": save_vitpose(place / "several", experts=3), "sam2": save_sam2(place / "masks"),
    }  # fmt: skip


def test_boxes_and_scores_of_known_answers() -> None:
    logits = torch.full((1, 3, 5), -4.0)
    logits[0, 0, 2], logits[0, 1, 2], logits[0, 1, 4] = 2.0, -1.0, 9.0
    centres = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.25, 0.75, 0.1, 0.1], [0.0, 0.0, 1.0, 1.0]]])
    boxes, scores = rt_detr.decode(logits, centres, 2, SIZE)
    torch.testing.assert_close(boxes[0, 0], torch.tensor([64.0, 36.0, 96.0, 84.0]))
    torch.testing.assert_close(boxes[0, 1], torch.tensor([32.0, 84.0, 48.0, 96.0]))
    torch.testing.assert_close(scores[0], torch.sigmoid(torch.tensor([2.0, -1.0, -4.0])))


def test_people_alone_are_detected_each_once_and_best_first(folders: dict[str, Path]) -> None:
    detector = rt_detr.RtDetrDetector(str(folders["rt-detr"]), "cpu", min_score=0.3)
    assert isinstance(detector, Detector)
    seen: list[torch.Tensor] = []
    logits = torch.full((2, 4, 5), -9.0)
    logits[0, :, 2] = torch.tensor([0.0, 3.0, 2.0, -2.0])  # the last is too weak, the third the second once more
    logits[1, 0, 1] = 5.0  # a dog
    boxes = torch.tensor([[0.2, 0.2, 0.1, 0.1], [0.7, 0.5, 0.2, 0.6], [0.7, 0.5, 0.21, 0.6], [0.5, 0.5, 0.1, 0.1]])

    def answer(pixel_values: torch.Tensor) -> Any:
        seen.append(pixel_values)
        return SimpleNamespace(logits=logits, pred_boxes=boxes.expand(2, 4, 4))

    detector._model = answer  # type: ignore[assignment]
    found = detector.detect(torch.stack([as_bytes(make_picture())] * 2))
    assert [one.score for one in found[0]] == pytest.approx(torch.sigmoid(torch.tensor([3.0, 0.0])).tolist())
    np.testing.assert_allclose(found[0][0].box_xyxy, [96, 24, 128, 96], atol=1e-3)
    assert found[1] == []
    assert seen[0].shape == (2, 3, 640, 640) and seen[0].min() >= 0 and 0.5 < seen[0].max() <= 1


def test_a_detector_asks_the_real_architecture(folders: dict[str, Path]) -> None:
    from transformers import RTDetrForObjectDetection

    detector = rt_detr.RtDetrDetector(str(folders["rt-detr"]), "cpu", min_score=0.0, max_iou=1.0)
    image = as_bytes(make_picture())
    found = detector.detect(image[None])[0]
    shown = torch.nn.functional.interpolate(image.permute(2, 0, 1)[None], (640, 640), mode="bilinear", antialias=True)
    with torch.no_grad():
        answer = RTDetrForObjectDetection.from_pretrained(folders["rt-detr"])(pixel_values=shown / 255)
    expected = answer.logits[0, :, 2].sigmoid().sort(descending=True).values
    assert len(found) == 12 and expected.std() > 1e-4
    np.testing.assert_allclose([one.score for one in found], expected.numpy(), atol=1e-5)


def heat_at(points: ndarray, size: tuple[int, int] = (64, 48)) -> ndarray:
    """Heatmaps as ViTPose is trained to give them: a Gaussian of two cells around each point, (x, y) in cells."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    away = (columns - points[..., 0, None, None]) ** 2 + (rows - points[..., 1, None, None]) ** 2
    return np.exp(-away / (2 * 2.0**2)).astype(np.float32)


def test_points_between_cells_are_found_with_their_score() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([4, 4], [43, 59], (3, 17, 2))
    heat = heat_at(points) * 0.8
    found = vitpose.decode(heat)
    np.testing.assert_allclose(found[..., :2] * [47, 63], points, atol=0.02)
    np.testing.assert_allclose(found[..., 2], heat.reshape(3, 17, -1).max(-1))
    # What the other side's point has there; the nose is its own.
    for point, other in ((0, 0), (5, 6), (16, 15)):
        column, row = points[0, point].round().astype(int)
        assert found[0, point, 3] == pytest.approx(heat[0, other, row, column]), point
    # The border, and a heat without any top.
    edge = vitpose.decode(heat_at(np.tile([[0.0, 0.0], [47.0, 63.0]], (9, 1))[None, :17]))
    np.testing.assert_allclose(edge[0, :2, :2], [[0, 0], [1, 1]], atol=0.02)
    assert np.isfinite(vitpose.decode(np.zeros((1, 17, 64, 48), np.float32))).all()


@pytest.mark.parametrize("angle", [0.0, 0.7, 3.0])
def test_points_of_a_turned_region_come_back_to_where_they_are_seen(folders: dict[str, Path], angle: float) -> None:
    """The brightest pixel of each crop is what the model says: that must be the bright spot of the picture."""
    model, spots = vitpose.VitPosePoints(str(folders["vitpose"]), "cpu"), np.array([[70.5, 50.5], [90.5, 66.5]])
    assert isinstance(model, KeypointModel)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    regions = [Region(x=float(spot[0]) + 6, y=float(spot[1]) - 4, side=60, angle=angle) for spot in spots]

    def answer(pixel_values: torch.Tensor) -> Any:
        cells = torch.nn.functional.interpolate(pixel_values[:, 1:2], (64, 48), mode="bilinear", align_corners=True)
        return SimpleNamespace(heatmaps=(cells - cells.amin((2, 3), keepdim=True)).expand(-1, 17, -1, -1))

    answer.config = SimpleNamespace(backbone_config=SimpleNamespace(num_experts=1))  # type: ignore[attr-defined]
    model._model = answer  # type: ignore[assignment]
    for spot, region in zip(spots, regions, strict=True):
        bright = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 3.0**2)).astype(np.float32)
        found = model.read_points(torch.from_numpy(bright).expand(3, *SIZE), [region])
        np.testing.assert_allclose(found[0, :, :2], np.tile(spot, (17, 1)), atol=0.15)


@pytest.mark.parametrize("which", ["vitpose", "vitpose++"])
def test_key_points_ask_the_real_architecture(folders: dict[str, Path], which: str) -> None:
    from transformers import VitPoseForPoseEstimation

    model = vitpose.VitPosePoints(str(folders[which]), "cpu")
    regions = [Region(x=70, y=60, side=80, angle=0.3), Region(x=30, y=90, side=90)]
    found = model.read_points(make_picture(), regions)
    assert found.shape == (2, 17, 4) and found.dtype == np.float32
    crops = torch.stack([vitpose.cut_crop(make_picture(), region) for region in regions])
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    more = {"dataset_index": torch.zeros(2, dtype=torch.long)} if which == "vitpose++" else {}
    with torch.no_grad():
        heat = VitPoseForPoseEstimation.from_pretrained(folders[which])((crops - mean) / std, **more).heatmaps
    np.testing.assert_allclose(found[..., 2], heat.flatten(2).amax(-1).numpy(), rtol=1e-3, atol=1e-4)
    alone = model.read_points(make_picture(), regions[1:])
    np.testing.assert_allclose(alone[0], found[1], rtol=1e-3, atol=1e-2)
    assert model.read_points(make_picture(), []).shape == (0, 17, 4)


def test_models_of_other_points_are_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    (tmp_path / "model.safetensors").write_bytes((folders["vitpose"] / "model.safetensors").read_bytes())
    changed = json.loads((folders["vitpose"] / "config.json").read_text())
    changed["id2label"]["17"] = "tail"
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match="knows 18 key points; give a model of COCO's 17"):
        vitpose.VitPosePoints(str(tmp_path), "cpu")


def test_masks_are_asked_for_by_boxes_and_come_back_at_the_wanted_size(folders: dict[str, Path]) -> None:
    from transformers import Sam2Model

    segmenter = sam2.Sam2Segmenter(str(folders["sam2"]), "cpu")
    assert isinstance(segmenter, Segmenter)
    images = torch.stack([torch.zeros(*SIZE, 3, dtype=torch.uint8), as_bytes(make_picture())])
    people = [see((10, 20, 60, 110)), see((80, 30, 150, 100))]
    found = segmenter.segment(images, 1, people, (60, 80))
    assert found.shape == (2, 60, 80) and found.min() >= 0 and found.max() <= 1
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    shown = torch.nn.functional.interpolate(
        images[1].permute(2, 0, 1)[None], (256, 256), mode="bilinear", antialias=True
    )
    boxes = torch.tensor([[[10, 20, 60, 110], [80, 30, 150, 100]]]) * torch.tensor([1.6, 256 / 120, 1.6, 256 / 120])
    with torch.no_grad():
        answer = Sam2Model.from_pretrained(folders["sam2"])(
            pixel_values=(shown / 255 - mean) / std, input_boxes=boxes, multimask_output=False
        )
    logits = torch.nn.functional.interpolate(answer.pred_masks[0, :, :1], (60, 80), mode="bilinear")[:, 0]
    assert logits.std() > 0.1
    np.testing.assert_allclose(found, logits.sigmoid().numpy(), atol=1e-3)
    assert segmenter.segment(images, 1, [], (60, 80)).shape == (0, 60, 80)


def test_logits_of_a_mask_become_probabilities_over_the_whole_picture() -> None:
    logits = torch.full((1, 64, 64), -8.0)
    logits[0, 16:48, 32:] = 8.0
    found = sam2.decode(logits, (120, 160))
    assert found[0, 60, 120] > 0.99 and found[0, 60, 40] < 0.01 and found[0, 10, 120] < 0.01


def test_experts_stand_in_their_places_and_what_they_replace_is_not_fetched(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("this model is replaced")

    shipped = Made()

    monkeypatch.setattr("unish.people.find.default_detector", refuse)
    monkeypatch.setattr("unish.people.find.default_support", lambda *_: shipped)
    monkeypatch.setattr("unish.people.find.default_landmarks", lambda *_: shipped)
    asked = []
    monkeypatch.setattr("unish.people.find.default_keypoints", lambda config, _: (asked.append(config), (None, ()))[1])
    experts = find_people_experts(str(folders["rt-detr"]), f"vitpose:{folders['vitpose']}", str(folders["sam2"]))
    assert [slot for slot, _ in experts.fingerprints] == ["people_detector", "keypoints", "masks"]
    models = experts.people_models(PeopleConfig())
    assert isinstance(models, PeopleModels) and models.detector is experts.detector
    assert models.keypoints is experts.keypoints and models.support is shipped
    assert [config.landmarks_2d for config in asked] == ["none"]
    assert experts.pose_models(PeopleConfig()).keypoints is experts.keypoints
    assert isinstance(experts.segmenter, Segmenter)


def test_without_a_choice_everything_is_as_it_ships() -> None:
    experts = find_people_experts("yolo", "movenet", "blazepose")
    assert experts == PeopleExperts() and experts.fingerprint == ""
