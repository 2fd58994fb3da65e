"""MoveNet: the port gives what the published model gives, and reads regions as they lie in the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unish import assets
from unish.errors import InputError
from unish.people.movenet import SIZES, ConvUnit, MoveNet, MoveNetPoints, load_movenet
from unish.people.protocols import KeypointModel
from unish.people.regions import Region

RECORDED = json.loads((Path(__file__).parent / "movenet_outputs.json").read_text())
"""y, x and score of each key point: what TensorFlow.js 4.22 makes of ``draw_pattern`` with the published graphs."""


def draw_pattern(side: int) -> torch.Tensor:
    """Stripes, hyperbolas and rings in whole numbers, the same on every processor."""
    y, x = np.mgrid[:side, :side]
    waves = 6 * x + 2 * y, x * y // 40, (x - side // 2) ** 2 // 20 + (y - side // 3) ** 2 // 25
    return torch.from_numpy(np.stack([np.abs(wave % 510 - 255) for wave in waves])).float()


def _load(name: str) -> MoveNet:
    files = [f"movenet-{name}-graph", f"movenet-{name}"]
    if missing := [file for file in files if not assets.is_present(file)]:
        pytest.skip(f"{missing[0]} is not in the cache; `unish assets fetch {missing[0]}`")
    return load_movenet(name, *(assets.fetch(file) for file in files))


@pytest.mark.weights
@pytest.mark.parametrize("name", SIZES)
def test_the_port_gives_what_the_published_model_gives(name):
    """2e-6 measured; the published graph of ``lightning`` divides by 48 cells in float16, which is undone here."""
    model = _load(name)
    assert sum(isinstance(unit, ConvUnit) for unit in model.modules()) == 74
    with torch.inference_mode():
        (found,) = model(draw_pattern(model.size)[None]).numpy()
    cells = model.size // 4
    rounded = float(np.float16(1 / cells)) * cells
    recorded = np.array(RECORDED[name]) / [rounded, rounded, 1]
    assert found[:, [1, 0, 2]] == pytest.approx(recorded, abs=1e-5)


@pytest.mark.weights
def test_points_lie_in_the_picture_wherever_the_region_lies():
    """A turned, moved and scaled picture of the same thing gives the same points, moved along; several at once, too."""
    model = MoveNetPoints(_load("lightning"))
    assert isinstance(model, KeypointModel)
    side = model.model.size
    picture = torch.zeros(3, 300, 400)
    picture[:, 40 : 40 + side, 100 : 100 + side] = draw_pattern(side) / 255
    upright = Region(x=100 + side / 2, y=40 + side / 2, side=float(side))
    turned = torch.rot90(picture, 1, (1, 2))  # a quarter turn to the left: x becomes 400 − x on the y axis
    region = Region(x=40 + side / 2, y=400 - 100 - side / 2, side=float(side), angle=-np.pi / 2)
    (first,), (second,) = model.read_points(picture, [upright]), model.read_points(turned, [region])
    assert second[:, 0] == pytest.approx(first[:, 1], abs=0.05)
    assert second[:, 1] == pytest.approx(400 - first[:, 0], abs=0.05)
    assert second[:, 2] == pytest.approx(first[:, 2], abs=1e-3)
    both = model.read_points(picture, [Region(x=150.0, y=150.0, side=90.0), upright])
    assert both.dtype == np.float32 and both[1] == pytest.approx(first, abs=1e-2)
    assert model.read_points(picture, []).shape == (0, 17, 4)


def write_weights(folder: Path, model: MoveNet, *, drop: int = 0) -> tuple[Path, Path]:
    """The files that a model with these numbers would be published in."""
    listed, numbers = [], b""
    for unit in (unit for unit in model.modules() if isinstance(unit, ConvUnit)):
        order = (2, 3, 0, 1) if unit.conv.groups > 1 else (2, 3, 1, 0)
        arrays = [unit.conv.weight.permute(order), unit.conv.bias]
        for name, array in zip(unit.source, arrays, strict=True):
            if name is not None:
                listed.append({"name": name, "shape": list(array.shape), "dtype": "float32",
                               "quantization": {"dtype": "float16"}})  # fmt: skip
                numbers += array.detach().numpy().astype(np.float16).tobytes()
    listed.insert(0, {"name": "axis", "shape": [], "dtype": "int32"})
    graph, weights = folder / "graph.json", folder / "weights.bin"
    graph.write_text(json.dumps({"weightsManifest": [{"weights": listed}]}))
    weights.write_bytes((b"\1\0\0\0" + numbers)[: -drop or None])
    return graph, weights


@pytest.fixture(scope="module")
def made() -> MoveNet:
    torch.manual_seed(0)
    return MoveNet(*SIZES["lightning"]).eval().requires_grad_(False)


def test_every_number_of_the_file_is_read_into_its_place(tmp_path, made):
    loaded = load_movenet("lightning", *write_weights(tmp_path, made))
    for own, other in zip(loaded.parameters(), made.parameters(), strict=True):
        assert torch.equal(own, other.half().float())


def test_wrong_files_are_refused_in_one_line(tmp_path, made):
    graph, weights = write_weights(tmp_path, made, drop=2)
    with pytest.raises(InputError, match="not what graph"):
        load_movenet("lightning", graph, weights)
    graph, weights = write_weights(tmp_path, made)
    with pytest.raises(InputError, match="not the weights of MoveNet thunder"):
        load_movenet("thunder", graph, weights)
    graph.write_text("{}")
    with pytest.raises(InputError, match="not what graph") as caught:
        load_movenet("lightning", graph, weights)
    assert "\n" not in str(caught.value)


def test_pictures_of_a_batch_are_read_each_for_itself(made):
    pictures = torch.stack([draw_pattern(made.size), draw_pattern(made.size).flip(2)])
    both = made(pictures)
    assert both.shape == (2, 17, 4) and bool(((both[..., 2] > 0) & (both[..., 2] < 1)).all())
    for picture, points in zip(pictures, both, strict=True):
        torch.testing.assert_close(made(picture[None])[0], points, atol=1e-4, rtol=0)


def test_of_two_people_the_one_nearest_to_the_middle_is_read(made):
    """Whose heat is weighed with 1 / (distance in cells + 1.8), as is that of each key point around where they say."""
    grid = made.size // 4

    class Fixed(torch.nn.Module):
        def __init__(self, maps):
            super().__init__()
            self.maps = maps

        def forward(self, features):
            return self.maps[None]

    centre, heat = torch.full((1, grid, grid), -9.0), torch.full((17, grid, grid), -9.0)
    centre[0, grid // 2, grid // 2 + 3], centre[0, 2, 2] = 1.0, 2.0
    regress, offset = torch.zeros(34, grid, grid), torch.zeros(34, grid, grid)
    regress[0::2, grid // 2, grid // 2 + 3] = -4.0  # rows, then columns, of each key point
    heat[:, grid // 2 - 4, grid // 2 + 3], heat[:, 2, 2] = 0.0, 1.0
    offset[0::2], offset[1::2] = 0.25, 0.5
    parts = {"centre": centre, "heat": heat, "regress": regress, "offset": offset}
    model = MoveNet(*SIZES["lightning"]).eval()
    for name, maps in parts.items():
        setattr(model, name, Fixed(maps))
    with torch.inference_mode():
        (points,) = model(torch.zeros(1, 3, made.size, made.size))
    assert points[:, 0].numpy() == pytest.approx((grid // 2 + 3.5) / grid)
    assert points[:, 1].numpy() == pytest.approx((grid // 2 - 3.75) / grid)
    assert points[:, 2].numpy() == pytest.approx(0.5)
    # What the other side's point has in this place; the nose is its own.
    heat[5, grid // 2 - 4, grid // 2 + 3], heat[6, 0, 0] = 1.0, 3.0
    with torch.inference_mode():
        (points,) = model(torch.zeros(1, 3, made.size, made.size))
    expected = torch.full((17, 2), 0.5)
    expected[5, 0] = expected[6, 1] = torch.tensor(1.0).sigmoid()
    torch.testing.assert_close(points[:, 2:], expected)
