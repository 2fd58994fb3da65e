"""The network: images and people in, one prediction per clip out."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.network.align_net import AlignNet
from unish.network.config import UniSHConfig
from unish.network.human.crop_branch import CropBranch, CropBranchConfig
from unish.network.human.landmark_branch import LandmarkBranch, LandmarkBranchConfig
from unish.network.release_scene import ReleaseScene, ReleaseSceneConfig
from unish.network.small_scene import SmallScene, SmallSceneConfig
from unish.structs import HumanInputs, Prediction

_SCENES = {ReleaseSceneConfig: ReleaseScene, SmallSceneConfig: SmallScene}
_HUMANS = {CropBranchConfig: CropBranch, LandmarkBranchConfig: LandmarkBranch}


class UniSH(nn.Module):
    """Scene branch, human branch and AlignNet (Li et al., "UniSH", 2026).

    ::

        images ──> scene ─┬─> local_points, point_conf_logits, c2w        (scale unknown)
                          └─> tokens ──┐
        people ──> human ─┬─> rotations, betas
                          └─> tokens ──┴─> align ──> scale, transl        (metres)
    """

    def __init__(self, config: UniSHConfig) -> None:
        super().__init__()
        self.config = config
        self.scene = _SCENES[type(config.scene)](config.scene)
        self.human = _HUMANS[type(config.human)](config.human)
        self.align = AlignNet(
            config.align,
            hidden_dim=self.scene.hidden_dim,
            token_dim=config.human.token_dim,
            num_special_tokens=config.scene.decoder.num_special_tokens,
        )

    def forward(
        self,
        images: Float[Tensor, "B N 3 H W"],
        humans: HumanInputs | None,
        timestamps: Float[Tensor, "B N"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
    ) -> Prediction:
        """Predict B clips of N frames.

        The scene branch runs once however many people there are; all people and frames pass the human branch together.

        Args:
            images: RGB in [0, 1], of a size that the scene branch takes.
            humans: evidence about P people; ``None``, or P = 0, for the scene alone.
            timestamps: seconds. Only differences within a clip matter; float64 keeps them exact.
            intrinsics: known camera in pixels of ``images``; estimated when ``None``.
        """
        scene = self.scene(images, intrinsics)
        if humans is None or humans.valid.shape[1] == 0:
            return Prediction(
                local_points=scene.local_points,
                point_conf_logits=scene.point_conf_logits,
                c2w=scene.c2w,
                intrinsics=scene.intrinsics,
                scale=self.align.scale_without_people(scene),
            )
        people = self.human(humans, timestamps, scene.intrinsics)
        aligned = self.align(scene, people, humans, timestamps)
        return Prediction(
            local_points=scene.local_points,
            point_conf_logits=scene.point_conf_logits,
            c2w=scene.c2w,
            intrinsics=scene.intrinsics,
            scale=aligned.scale,
            rotations=people.rotations,
            betas=people.betas,
            transl=aligned.transl,
        )

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, device: str | torch.device = "cpu") -> UniSH:
        """Load weights and configuration; see ``unish.network.weights.load_pretrained``.

        Args:
            name_or_path: ``small``, a folder written by ``save_pretrained``, a published ``.safetensors`` file, or
                ``OWNER/NAME`` of the Hugging Face hub.
            device: where the weights go.

        Raises:
            InputError: no such weights, or a file that is broken or does not fit.
        """
        from unish.network.weights import load_pretrained

        return load_pretrained(name_or_path, device)

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors``; see ``unish.network.weights.save_pretrained``."""
        from unish.network.weights import save_pretrained

        save_pretrained(self, folder, dtype=dtype)
