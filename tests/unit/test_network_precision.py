"""Number formats: what is kept in which, and that a network in few bits is still the same network."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from network_models import cast_weights, make_camera, make_clips, make_human_inputs, make_network
from unish.errors import InputError
from unish.network import UniSH
from unish.network.linear import Linear
from unish.network.precision import TRUNKS, WeightFormat, cast_like, choose_formats
from unish.network.rope import grid_positions, rotary_2d
from unish.structs import Prediction

REDUCED = (torch.bfloat16, torch.float16)


def predict(model: UniSH, rng_seed: int = 0) -> Prediction:
    rng = torch.Generator().manual_seed(rng_seed)
    images, timestamps = make_clips(rng)
    with torch.no_grad():
        return model(images, make_human_inputs(2, rng), timestamps, make_camera())


@pytest.mark.parametrize("dtype", REDUCED)
def test_trunks_are_kept_in_few_bits_and_the_others_rounded_to_them(dtype) -> None:
    original = make_network("release").state_dict()
    model = make_network("release")
    cast_weights(model, dtype)
    buffers = {name for name, _ in model.named_buffers()}
    assert buffers
    for name, tensor in model.state_dict().items():
        in_trunk = name.startswith(TRUNKS)
        assert tensor.dtype == (dtype if in_trunk else torch.float32), name
        expected = original[name] if name in buffers else original[name].to(dtype).float()
        assert torch.equal(tensor.float(), expected), name


@pytest.mark.slow
@pytest.mark.parametrize("dtype", REDUCED)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_loading_in_few_bits_is_loading_and_then_casting(dtype, stored, tmp_path: Path) -> None:
    make_network("release").save_pretrained(tmp_path, dtype=stored)
    loaded = UniSH.from_pretrained(tmp_path, dtype=dtype)
    expected = UniSH.from_pretrained(tmp_path)
    cast_weights(expected, dtype)
    for name, tensor in expected.state_dict().items():
        assert loaded.state_dict()[name].dtype == tensor.dtype, name
        assert torch.equal(loaded.state_dict()[name], tensor), name


# Measured, of the largest magnitude: up to 8.3e-3 for bfloat16 (8 bits), 1.5e-3 for float16 (11 bits).
@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 2e-2), (torch.float16, 4e-3)])
def test_few_bits_give_nearly_the_same_prediction_in_float32(dtype, limit) -> None:
    model = make_network("release")
    exact = predict(model)
    cast_weights(model, dtype)
    rounded = predict(model)
    for name in ("local_points", "point_conf_logits", "c2w", "rotations", "betas", "scale"):
        actual, expected = getattr(rounded, name), getattr(exact, name)
        error = float((actual - expected).abs().max() / expected.abs().max())
        print(f"{dtype} {name:20s} {error:.1e}")
        assert actual.dtype == torch.float32, name
        assert 0 < error <= limit, f"{name}: {error:.1e}"


def test_rotary_angles_are_rounded_before_the_cosine() -> None:
    positions = grid_positions(30, 40)
    exact, rounded = (rotary_2d(positions, 64, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    angles = positions[-1, 0] * 100.0 ** (-torch.arange(16) / 16)
    assert torch.equal(rounded.cos[-1, :16], angles.bfloat16().cos())
    assert (rounded.cos.float() - exact.cos).abs().max() > 0.05  # not what rounding the cosine alone would give


def test_what_cannot_be_computed_in_is_refused() -> None:
    with pytest.raises(InputError, match="float64"):
        choose_formats(make_network("release"), torch.float64)
    with pytest.raises(InputError, match="only the published network"):
        UniSH.from_pretrained("small", dtype=torch.bfloat16)


def test_stored_numbers_are_used_as_they_lie_only_in_their_own_format() -> None:
    rounded = WeightFormat(dtype=torch.float32, rounded_to=torch.bfloat16)
    assert WeightFormat().holds(torch.float32) and not WeightFormat().holds(torch.float16)
    assert not rounded.holds(torch.float32) and not rounded.holds(torch.bfloat16)
    assert rounded.convert(torch.tensor([1.001, 3.0])).tolist() == [1.0, 3.0]
    assert rounded.convert(torch.tensor([257])).tolist() == [257]
    assert cast_like(torch.ones(1), nn.Linear(1, 1, dtype=torch.float16)).dtype == torch.float16


class TestLinear:
    """The layer that picks its matrix product."""

    layer = Linear(24, 40)
    x = torch.randn(4, 100, 24, generator=torch.Generator().manual_seed(0))

    @pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN")
    @pytest.mark.parametrize("bias", [True, False])
    def test_both_products_agree(self, bias) -> None:
        layer = Linear(24, 40, bias=bias)
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as watched:
            fast = layer(self.x)
        assert "aten::mkldnn_linear" in {event.key for event in watched.key_averages()}
        torch.testing.assert_close(fast, layer(self.x).detach(), atol=1e-6, rtol=1e-6)

    @pytest.mark.parametrize(("rows", "dtype"), [(10, torch.float32), (400, torch.bfloat16)])
    def test_few_rows_and_few_bits_are_left_to_pytorch(self, rows, dtype) -> None:
        layer, x = copy.deepcopy(self.layer).to(dtype), self.x.flatten(0, 1)[:rows].to(dtype)
        with torch.no_grad():
            assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))

    def test_gradients_pass(self) -> None:
        self.layer(self.x).sum().backward()
        assert self.layer.weight.grad is not None and self.layer.weight.grad.abs().sum() > 0

    def test_autocast_and_other_formats_are_obeyed(self) -> None:
        with torch.no_grad():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert self.layer(self.x).dtype == torch.bfloat16
            assert Linear(24, 8, dtype=torch.float64)(self.x.double()).dtype == torch.float64

    def test_nobody_is_no_special_case(self) -> None:
        with torch.no_grad():
            assert self.layer(self.x[:0]).shape == (0, 100, 40)
