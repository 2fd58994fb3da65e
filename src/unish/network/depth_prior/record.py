"""What a depth prior is: whoever says of single pictures, or of all pictures of a window, how far away things are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

PriorKind = Literal["metric", "scale-free", "affine"]
"""``metric``: z in metres; ``scale-free``: z up to a factor; ``affine``: 1 / z up to a factor and an offset."""


@dataclass(frozen=True, kw_only=True)
class PriorView:
    """Some dense frames of one shot, as the network sees them.

    Attributes:
        images: RGB in [0, 1].
        intrinsics: pixels of ``images``; ``None`` where the camera is not known yet.
        picture_size: (height, width) of the picture with square pixels that was resized to ``images``.
        frame_indices: of the frames in the source.
        positions: of the frames among the ``num_dense`` dense frames of the video.
        frame_names: file names of the frames, where the source is a folder of pictures.
        part: (top, left, bottom, right) of what ``images`` show, in shares of the whole picture of the source, bars
            included.
    """

    images: Float[Tensor, "N 3 H W"]
    intrinsics: Float[Tensor, "N 3 3"] | None
    picture_size: tuple[int, int]
    frame_indices: tuple[int, ...]
    positions: tuple[int, ...]
    num_dense: int
    frame_names: tuple[str, ...] | None = None
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class PriorDepth:
    """What a prior says of N frames. Its maps show the same as the images, and may have another size.

    Attributes:
        values: what ``kind`` says: z, or 1 / z up to a factor and an offset.
        known: where ``values`` mean something; elsewhere they may be anything.
        kind: decides how the prior is aligned (``align``).
        one_scale: the unknown factor of a ``scale-free`` prior is the same for all frames.
        focal: focal length over the diagonal of the picture that the prior found itself; ``None`` where it found none,
            or was told.
    """

    values: Float[Tensor, "N h w"]
    known: Bool[Tensor, "N h w"]
    kind: PriorKind
    one_scale: bool = False
    focal: float | None = None

    def resized(self, size: tuple[int, int]) -> tuple[Float[Tensor, "N H W"], Bool[Tensor, "N H W"]]:
        """Values and where they are known at another size; what is not known has no say in what lies beside it."""
        known = self.known & self.values.isfinite()
        values = torch.where(known, self.values.float(), 0.0)
        if tuple(values.shape[-2:]) == size:
            return values, known
        shares = _resize(known.float(), size)
        mean = _resize(values, size) / shares.clamp_min(1e-6)
        # Where most of what a pixel covers is not known, neither is the pixel.
        return torch.where(shares > 0.5, mean, 0.0), shares > 0.5


@runtime_checkable
class DepthPrior(Protocol):
    """A depth network, or what stands in for one.

    Attributes:
        name: for reports.
        licence: of the weights, in a few words.
        fingerprint: tells priors with other answers apart; a run that was ended goes on only with the same one.
    """

    @property
    def name(self) -> str: ...

    @property
    def licence(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def estimate(self, view: PriorView) -> PriorDepth:
        """What it says of these frames.

        Raises:
            InputError: it lacks what it needs to answer.
        """
        ...


def _resize(maps: Float[Tensor, "N h w"], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    resized = functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=False, antialias=True)
    return resized[:, 0]
