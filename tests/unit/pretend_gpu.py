"""A device without arithmetic: shapes, types and devices are followed, and two devices in one operation are an error.

``python pretend_gpu.py scene`` (``lifter``, ``align``) takes a loss and its gradient on it, and scores where there are
some. It shows that nothing is left on the CPU; not that kernels exist, nor that numbers are right. The device is
PyTorch's private one with fake tensors, registered for the whole process, so each check is a process.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import backend_registration
from torch.utils._pytree import tree_map_only

DEVICE = "pretended:0"
_SOME = 5  # entries of what a mask selects


class _Module(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


class Pretend(FakeTensorMode):
    """Fake tensors that also answer where a value decides: a number is 1, a mask selects five entries."""

    has_no_float64 = False

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return _one_of(args[0].dtype)
        if func is torch.ops.aten.index.Tensor and len(args[1]) == 1 and args[1][0].dtype == torch.bool:
            values, mask = args[0], args[1][0]
            assert mask.device in (values.device, torch.device("cpu")), f"mask on {mask.device}"
            return values.new_empty((_SOME, *values.shape[mask.dim() :]))
        # A constant of a module is a real tensor, and would want real kernels.
        args, kwargs = tree_map_only(Tensor, self._without_values, (args, kwargs or {}))
        made = super().dispatch(func, types, args, kwargs)
        tree_map_only(Tensor, self._check_precision, made)
        return made

    def _check_precision(self, tensor: Tensor) -> Tensor:
        """As Apple's MPS, the device may have no float64."""
        if self.has_no_float64 and tensor.device == torch.device(DEVICE) and tensor.dtype == torch.float64:
            raise TypeError("float64 on a device that has none")
        return tensor

    def _without_values(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self.from_tensor(tensor)


def _one_of(dtype: torch.dtype) -> bool | int | float:
    return True if dtype == torch.bool else 1.0 if dtype.is_floating_point else 1


def start() -> Pretend:
    """Register the device, and have numbers that are given in Python appear on it as fake tensors."""
    backend_registration._setup_privateuseone_for_python_backend("pretended", backend_module=_Module())
    make = torch.tensor

    def tensor(data: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
        made = make(data, dtype=dtype)
        return torch.empty(made.shape, dtype=made.dtype, device=device)  # one with values would want real kernels

    def pick(self: Tensor, index: Any) -> Tensor:
        parts = index if isinstance(index, tuple) else (index,)
        return get(
            self, tuple(tensor(part, device=self.device) if type(part) in (tuple, list) else part for part in parts)
        )

    get = Tensor.__getitem__
    Tensor.__getitem__ = pick
    torch.tensor = tensor
    torch.Tensor.new_tensor = lambda self, data, dtype=None: tensor(data, dtype=dtype or self.dtype, device=self.device)
    torch.distributions.Distribution.set_default_validate_args(False)
    return Pretend(allow_non_fake_inputs=True)


def place(value: Any, device: str) -> Any:
    """The same shapes on a device, without values: of tensors in dataclasses and dicts."""
    if isinstance(value, Tensor):
        return torch.empty(value.shape, dtype=value.dtype, device=device)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: place(getattr(value, f.name), device) for f in fields(value) if f.init})
    if isinstance(value, dict):
        return {name: place(part, device) for name, part in value.items()}
    return value


def place_model(model: nn.Module, device: str) -> None:
    """Parameters and buffers without values, in place."""
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, value in held.items():
                if value is not None:
                    empty = torch.empty(value.shape, dtype=value.dtype, device=device)
                    held[name] = nn.Parameter(empty, value.requires_grad) if held is module._parameters else empty


def check_scene() -> None:
    from scene_shards import make_scene_batch, make_tiny_scene

    from unish.lab.training.scene import SceneLossWeights, scene_loss
    from unish.lab.training.scene_validation import score_scene

    model, batch = make_tiny_scene(), make_scene_batch()
    with start():
        place_model(model, DEVICE)
        for know in (False, True):
            loss, _ = scene_loss(model.train(), place(batch, DEVICE), SceneLossWeights(), know_intrinsics=know)
            finish(loss)
        score_scene(model.eval(), [place(batch, "cpu")], torch.empty(32))


def check_lifter() -> None:
    from unish.body import load_body
    from unish.lab.training.landmarks import make_batch
    from unish.lab.training.lifter import compute_loss, score_batches
    from unish.lab.training.motion_pool import MotionPool
    from unish.lab.training.recipes import SMOKE
    from unish.network.human.landmark_branch import LandmarkBranch

    config, body = SMOKE.lifter, load_body("free")
    pool = MotionPool.make(2, library=None, seconds=config.pool_seconds, seed=1)
    batch = make_batch(pool, body, config.data, seed=0, index=0)
    model = LandmarkBranch(config.branch)
    with start():
        place_model(model, DEVICE)
        model._body = place(body, DEVICE)
        loss, _ = compute_loss(model, place(batch, DEVICE), place(body, DEVICE), config)
        finish(loss)
        score_batches(model, [place(batch, "cpu")], place(body, "cpu"))


def check_align() -> None:
    from unish.body import load_body
    from unish.lab.training.recipes import SMOKE
    from unish.lab.training.stages.coarse import CoarseWeights, coarse_loss
    from unish.lab.training.stages.fine import FineWeights, fine_loss
    from unish.lab.training.stages.localiser import Localiser
    from unish.lab.training.stages.people_cache import PeopleCache, cache_people
    from unish.network import UniSH
    from unish.network.closed_form_placement import ClosedFormPlacement

    network, body = UniSH(SMOKE.config).eval(), load_body("free")
    with tempfile.TemporaryDirectory() as folder:
        source = SMOKE.coarse.world.open(Path(folder, "clips"), 8)
        cache_people(source, Path(folder, "described"), network, body, SMOKE.coarse.people, seed=0)
        clips = PeopleCache(Path(folder, "described"))
        batch = clips.sample(0, 0, 2)
    model = Localiser(network, trains_human=False)
    with start():
        place_model(model, DEVICE)
        for module in model.modules():
            if isinstance(module, ClosedFormPlacement):
                module.body = place(body, "cpu")  # it moves this one where it is needed
        # Surfaces are drawn, with as many pixels as there are; only values would tell how many.
        landmarks = FineWeights(surface=0.0, order=0.0)
        for compute, weights in ((coarse_loss, CoarseWeights()), (fine_loss, landmarks)):
            finish(compute(model, place(batch, DEVICE), place(body, DEVICE), weights)[0])


def check_forward(name: str) -> None:
    """A network and its people on a device without float64."""
    sys.path.append(str(Path(__file__).parent.parent))
    import roma

    from network_models import make_clips, make_human_inputs, make_network
    from unish.geometry import focal
    from unish.network.closed_form_placement import ClosedFormPlacement
    from unish.network.human.landmark_branch import LandmarkBranch

    rng = torch.Generator().manual_seed(0)
    model, humans, (images, timestamps) = make_network(name), make_human_inputs(2, rng), make_clips(rng)
    body = model.human._body_on(torch.device("cpu")) if isinstance(model.human, LandmarkBranch) else None
    with start() as mode:
        mode.has_no_float64 = True
        place_model(model, DEVICE)
        for module in model.modules():
            if isinstance(module, ClosedFormPlacement):
                module.body = place(module.body, "cpu")
        if body is not None:
            model.human._body = place(body, DEVICE)
        # What roma does by itself on MPS: float64 is for its other method.
        by_eigenvectors = roma.special_procrustes
        if "method" in inspect.signature(by_eigenvectors).parameters:
            roma.special_procrustes = lambda matrix: by_eigenvectors(matrix, method="svd")
        # Solved in SciPy, which wants values.
        focal._solve = lambda *args, batch, like, **options: (like.new_ones(batch), like.new_zeros(batch))
        with torch.no_grad():
            found = model(place(images, DEVICE), place(humans, DEVICE), place(timestamps.float(), DEVICE))
    for value in vars(found).values():
        assert value is None or (value.device == torch.device(DEVICE) and value.dtype == torch.float32)
    print(found.c2w.device)


def check_matching() -> None:
    """Key points, matches by resemblance and by attention, and their places, on a device without float64."""
    from unish.network.matching.lighterglue import LighterGlue, match_by_attention
    from unish.network.matching.pairs import describe_frames, match_pairs, place_matches
    from unish.network.matching.retrieval import describe_places
    from unish.network.matching.xfeat import XFeat

    xfeat, glue, pairs = XFeat().eval(), LighterGlue().eval(), [(0, 1), (0, 2)]
    images, usable = torch.rand(1, 3, 3, 64, 96), torch.ones(1, 3, 64, 96, dtype=torch.bool)
    with start() as mode, torch.no_grad():
        mode.has_no_float64 = True
        place_model(xfeat, DEVICE)
        place_model(glue, DEVICE)
        features = describe_frames(xfeat, place(images, DEVICE), usable=place(usable, DEVICE), num_keypoints=32)
        index = match_pairs(features, pairs)
        numbers = place(torch.tensor([0, 1]), DEVICE)
        by_attention = match_by_attention(glue, features.key_points, numbers, numbers, (64, 96))
        matches = place_matches(features, pairs, index, num_anchors=8, wide=pairs)
        found = [describe_places(features.key_points), by_attention, *index.__dict__.values()]
        found += [matches.anchors_px, matches.anchor_valid, matches.targets_px, matches.weights]
    assert all(value.device == torch.device(DEVICE) for value in found)
    print(matches.weights.device)


def finish(loss: Tensor) -> None:
    """Gradients, too."""
    assert loss.device == torch.device(DEVICE), f"loss on {loss.device}"
    loss.backward()
    print(loss.device)


CHECKS: dict[str, Callable[[], None]] = {
    "scene": check_scene, "lifter": check_lifter, "align": check_align, "matching": check_matching,
    "small network": lambda: check_forward("small"), "release network": lambda: check_forward("release"),
}  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    CHECKS[sys.argv[1]]()
    # PyTorch has a thread of gradients for this device, and aborts now and then when it is still there at the end.
    sys.stdout.flush()
    os._exit(0)
