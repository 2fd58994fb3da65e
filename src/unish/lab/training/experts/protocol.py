"""What an expert for distillation is: somebody who knows the shape of people from one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ExpertView:
    """The frames of one clip, as large as they are stored.

    Attributes:
        images: RGB in [0, 1].
        person_ids: index of the person at each pixel, −1 = nobody.
        intrinsics: pixels of the images; what the network believes where nobody told it.
        clip: number of the clip in its source.
    """

    images: Float[Tensor, "F 3 H W"]
    person_ids: Int[Tensor, "F H W"]
    intrinsics: Float[Tensor, "F 3 3"]
    clip: int


@runtime_checkable
class DepthExpert(Protocol):
    """A single-image depth network, or what stands in for one.

    Attributes:
        key: tells experts with other answers apart; answers are kept by it.
    """

    key: str

    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        """Depth (z) of people in a unit of its own for every person of every frame; 0 where it does not know.

        With the intrinsics of the view the depth must give the right angles between surfaces, so it may be off by any
        factor. An expert that is also off by an offset may only teach detail (``DistillWeights.normals`` = 0).

        Raises:
            InputError: it lacks what it needs to answer.
        """
        ...
