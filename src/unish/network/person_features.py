"""What people look like, as frozen image features: clothes and their patterns, by which somebody is recognised.

    crops, masks ──> EfficientNet-Lite0 (stride 16), all but the person grey ──> mean over head, upper and lower body

The encoder is that of the small preset at its ImageNet weights; nothing is trained. Its channels have means and spreads
of their own, so the features are standardised by those of 12 rendered clips with 31 people
(``tools/measure_identity.py``): two people who have nothing in common have a correlation of about 0.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unish.network.sky import load_encoder, read_safetensors

STATISTICS = Path(__file__).parent / "person_features.safetensors"
BANDS = ((-1.0, 0.2), (0.15, 0.5), (0.45, 2.0))
"""Head, upper and lower body: from where to where, as shares of the person's visible height from the top. They overlap,
since nobody stands exactly so."""
_GREY = 0.5


class PersonFeatures:
    """``FeatureModel`` of the people stage."""

    def __init__(self) -> None:
        self._encoder = load_encoder()
        stored = read_safetensors(STATISTICS)
        self._mean, self._spread = stored["mean"].float(), stored["spread"].float()

    @torch.inference_mode()
    def __call__(self, crops: Float[Tensor, "B 3 n n"], masks: Float[Tensor, "B n n"]) -> Float[Tensor, "B 336"]:
        """Unit vectors; the cosine between two says how alike they are.

        Args:
            crops: RGB in [0, 1], a person in each; n is a multiple of 16.
            masks: probability of each pixel to belong to the person; a crop without any gives an arbitrary vector.
        """
        found = (pool_bands(self._encoder, crops, masks) - self._mean) / self._spread
        return functional.normalize(found, dim=-1)


def pool_bands(
    encoder: torch.nn.Module, crops: Float[Tensor, "B 3 n n"], masks: Float[Tensor, "B n n"]
) -> Float[Tensor, "B 336"]:
    """Mean of the features over each band of the person, weighed by the mask; not standardised."""
    coarse = encoder(crops * masks[:, None] + _GREY * (1 - masks[:, None]))[2]
    size = masks.shape[-1]
    rows = (torch.arange(size) + 0.5).expand(len(masks), size)
    filled = (masks > 0.5).any(-1)
    top = torch.where(filled, rows, size).amin(-1, keepdim=True)
    bottom = torch.where(filled, rows, 0).amax(-1, keepdim=True)
    share = (rows - top) / (bottom - top).clamp_min(1)
    inside = torch.stack([(share >= low) & (share < high) for low, high in BANDS], dim=1)
    weights = functional.interpolate(inside[..., None] * masks[:, None], coarse.shape[-2:], mode="area")
    sums = torch.einsum("bkhw,bchw->bkc", weights, coarse)
    return (sums / weights.sum((-2, -1)).clamp_min(1e-3)[..., None]).flatten(1)
