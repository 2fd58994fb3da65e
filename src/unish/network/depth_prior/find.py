"""From what a user writes to the depth prior that it names."""

from __future__ import annotations

from unish.network.depth_prior.depth_anything_3 import DepthAnything3
from unish.network.depth_prior.depth_anything_v2 import DepthAnythingV2
from unish.network.depth_prior.files import DepthFiles
from unish.network.depth_prior.moge import Moge2
from unish.network.depth_prior.record import DepthPrior
from unish.slots import DEPTH_PRIORS, read_expert

_NETWORKS: dict[str, type[DepthAnythingV2 | DepthAnything3 | Moge2]] = {
    "depth-anything-v2": DepthAnythingV2,
    "depth-anything-3": DepthAnything3,
    "moge-2": Moge2,
}


def find_depth_prior(given: str, device: str = "cpu") -> DepthPrior | None:
    """The prior that takes the place of the shipped one; ``None`` where that is meant (``fastdepth``).

    Args:
        given: see ``slots.read_expert``.
        device: where a network runs.

    Raises:
        InputError: no such prior, or it lacks what it needs.
    """
    expert = read_expert("depth prior", given, DEPTH_PRIORS)
    if expert.weights is None:
        return None
    if expert.kind == "files":
        return DepthFiles(expert.weights)
    return _NETWORKS[expert.kind](expert.weights, device)
