"""What the people stage found: who is where in the picture, and how they are posed in 2-D."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float32, Int16, Int64
from torch import Tensor

from unish.structs.frames import FrameTensor

NUM_LANDMARKS = 33
"""BlazePose body landmarks, in the published order (nose 0 … right foot index 32)."""


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Identities over time. A missing observation is ``valid = False`` and NaN, never a copied value.

    Attributes:
        person_ids: (P,) stable identity over the whole video.
        valid: (P, T) the person was observed in the frame.
        boxes_xyxy: (P, T, 4) clip pixels; NaN where not valid.
        masks: (T, h, w) index into the people axis, −1 = scene; h×w is the mask size that was asked for. They may
            lie on the disk.
        warnings: everything that degraded the result, one sentence each.
    """

    person_ids: Int64[Tensor, "P"]
    valid: Bool[Tensor, "P T"]
    boxes_xyxy: Float32[Tensor, "P T 4"]
    masks: Int16[FrameTensor, "T h w"]
    warnings: tuple[str, ...] = ()

    @property
    def num_people(self) -> int:
        return int(self.person_ids.shape[0])


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """BlazePose landmarks of tracked people.

    Attributes:
        px: (P, T, 33, 3) x, y in clip pixels and visibility 0..1; NaN where there are none.
        world: (P, T, 33, 3) metres around the middle of the hips, camera axes (x right, y down, z forward) in the
            person's own viewing ray: a camera turned so that its z axis passes through the pelvis. NaN where none.
        score: (P, T) probability that a person is present in the crop; 0 where there are no landmarks.
        sigma_px: (P, T, 33) 1σ of ``px``, clip pixels; NaN where there are none. ``None`` where nobody has said.
    """

    px: Float32[Tensor, "P T 33 3"]
    world: Float32[Tensor, "P T 33 3"]
    score: Float32[Tensor, "P T"]
    sigma_px: Float32[Tensor, "P T 33"] | None = None


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Square crops of people for a crop-based human branch.

    Attributes:
        patches: (P, T, 3, 256, 256) RGB in [0, 1], not normalised; zero where not valid.
        bbox_info: (P, T, 3) box centre minus image centre and box side, pixels of the processed image.
        valid: (P, T).
    """

    patches: Float32[Tensor, "P T 3 256 256"]
    bbox_info: Float32[Tensor, "P T 3"]
    valid: Bool[Tensor, "P T"]
