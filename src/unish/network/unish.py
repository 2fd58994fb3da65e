"""The network: images and people in, one prediction per clip out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unish.errors import InputError
from unish.network.align_net import AlignNet
from unish.network.checkpoint_files import save_weights
from unish.network.closed_form_placement import masked_mean_distance
from unish.network.config import UniSHConfig
from unish.network.depth_prior.align import AffineDepth, place_prior
from unish.network.depth_prior.record import PriorDepth
from unish.network.depth_refiner import DepthRefiner
from unish.network.human.crop_branch import CropBranch, CropBranchConfig
from unish.network.human.landmark_branch import LandmarkBranch, LandmarkBranchConfig
from unish.network.layers import Block
from unish.network.outputs import SceneBranch, SceneOutput
from unish.network.release_scene import ReleaseScene, ReleaseSceneConfig
from unish.network.small_scene import SmallScene, SmallSceneConfig
from unish.network.view_config import fast_views
from unish.network.view_scene import refine_scene
from unish.network.weights import StoredWeights, find_weights
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

    takes_depth_prior = True

    def __init__(self, config: UniSHConfig) -> None:
        super().__init__()
        self.config = config
        self._stored: StoredWeights | None = None
        self.scene = _SCENES[type(config.scene)](config.scene)
        self.human = _HUMANS[type(config.human)](config.human)
        self.align = AlignNet(
            config.align,
            hidden_dim=self.scene.hidden_dim,
            token_dim=config.human.token_dim,
            num_special_tokens=config.scene.decoder.num_special_tokens,
            body=config.body,
        )
        has_refiner = config.views is not None and config.views.refiner
        self.depth_refiner = DepthRefiner() if has_refiner else None

    def forward(
        self,
        images: Float[Tensor, "B N 3 H W"],
        humans: HumanInputs | None,
        timestamps: Float[Tensor, "B N"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
        people_masks: Int[Tensor, "B N H W"] | None = None,
        usable: Bool[Tensor, "B N H W"] | None = None,
        c2w: Float[Tensor, "B N 4 4"] | None = None,
        refine_c2w: bool = False,
        depth_prior: Sequence[PriorDepth] | None = None,
        still: bool = False,
    ) -> Prediction:
        """Predict B clips of N frames.

        The scene branch runs once however many people there are; all people and frames pass the human branch together.

        Args:
            images: RGB in [0, 1], of a size that the scene branch takes.
            humans: evidence about P people; ``None``, or P = 0, for the scene alone.
            timestamps: seconds. Only differences within a clip matter; float64 keeps them exact.
            intrinsics: known camera in pixels of ``images``; estimated when ``None``.
            picture_size: (height, width) of the picture with square pixels that was resized to ``images``; their own
                where ``None``. An estimated focal length is one in square pixels.
            people_masks: index of the person at each pixel, −1 = scene; nobody where ``None``.
            usable: pixels that show the scene or people, and not sky, padding or captions; all of them where ``None``.
            c2w: known cameras, world = camera of the first frame of each clip; found when ``None``. For networks that
                solve cameras from views (``UniSHConfig.views``) alone.
            refine_c2w: start from ``c2w`` instead of keeping them.
            depth_prior: of each clip, in place of the depth that the scene branch finds; see ``depth_prior.align``.
            still: the pictures show that the camera stands still: no views are compared. As for ``c2w``.
        """
        scene = self.see(
            images, intrinsics, picture_size=picture_size, people_masks=people_masks, usable=usable, c2w=c2w,
            refine_c2w=refine_c2w, depth_prior=depth_prior, still=still,
        )  # fmt: skip
        if humans is None or humans.valid.shape[1] == 0:
            return Prediction(
                local_points=scene.local_points,
                point_conf_logits=scene.point_conf_logits,
                c2w=scene.c2w,
                intrinsics=scene.intrinsics,
                scale=_scale_by_prior(scene, self.align.scale_without_people(scene, timestamps)),
                joined=scene.joined,
                certain=scene.certain,
                solves_focal=scene.solves_focal,
                log_zoom=scene.log_zoom,
                in_given_unit=scene.in_given_unit,
                given_error_px=scene.given_error_px,
            )
        people = self.human(_tell_turns(humans, scene), timestamps, scene.intrinsics)
        aligned = self.align(scene, people, humans, timestamps)
        return Prediction(
            local_points=scene.local_points,
            point_conf_logits=scene.point_conf_logits,
            c2w=scene.c2w,
            intrinsics=scene.intrinsics,
            scale=_scale_by_prior(scene, aligned.scale),
            rotations=people.rotations,
            betas=people.betas,
            transl=aligned.transl,
            joined=scene.joined,
            certain=scene.certain,
            solves_focal=scene.solves_focal,
            log_zoom=scene.log_zoom,
            in_given_unit=scene.in_given_unit,
            given_error_px=scene.given_error_px,
        )

    def see(
        self,
        images: Float[Tensor, "B N 3 H W"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
        people_masks: Int[Tensor, "B N H W"] | None = None,
        usable: Bool[Tensor, "B N H W"] | None = None,
        c2w: Float[Tensor, "B N 4 4"] | None = None,
        refine_c2w: bool = False,
        depth_prior: Sequence[PriorDepth] | None = None,
        still: bool = False,
    ) -> SceneOutput:
        """The scene alone: the branch, and what the frames show alike. Arguments as of ``forward``."""
        scene: SceneOutput = self.scene(images, intrinsics, picture_size=picture_size)
        priors: list[AffineDepth | None] | None = None
        if depth_prior is not None:
            static = torch.ones_like(scene.point_conf_logits, dtype=torch.bool) if usable is None else usable
            scene, priors = place_prior(
                scene, depth_prior, static=static if people_masks is None else static & (people_masks < 0),
                known_camera=intrinsics is not None, picture_size=picture_size or (images.shape[-2], images.shape[-1]),
            )  # fmt: skip
        if self.config.views is None or images.shape[1] == 1:
            return scene
        return refine_scene(
            images, scene, people=people_masks, usable=usable, known_camera=intrinsics is not None,
            c2w=c2w, refine_c2w=refine_c2w, still=still, config=self.config.views, refiner=self.depth_refiner,
            priors=priors,
        )  # fmt: skip

    def read_people(
        self, humans: HumanInputs, timestamps: Float[Tensor, "B N"], intrinsics: Float[Tensor, "B N 3 3"]
    ) -> tuple[Float[Tensor, "B P N 24 3 3"], Float[Tensor, "B P 10"]]:
        """Joint rotations in the camera and shapes, as in ``Prediction``, from the evidence about people alone.

        Args:
            humans: see ``forward``; at least one person.
            timestamps: see ``forward``.
            intrinsics: pixels of the images that ``humans`` are in.
        """
        people = self.human(humans, timestamps, intrinsics)
        return people.rotations, people.betas

    def use_scene(self, scene: SceneBranch, name: str) -> None:
        """Put another scene branch in the place of this network's own.

        The layers behind it work on what it gives: cameras and depth from views where ``UniSHConfig.views`` asks for
        them, and a depth prior. AlignNet reads ``SceneOutput.hidden``, whose meaning it has learnt from its own branch:
        scale and places of people that follow from other tokens mean nothing, and the product, which measures people
        itself, does without them wherever enough of a person is seen.

        Args:
            scene: an ``nn.Module`` that fits ``SceneBranch``.
            name: goes into ``fingerprint``, by which runs and results tell networks apart.

        Raises:
            InputError: it is no such module, or its tokens have another width than AlignNet reads.
        """
        if not isinstance(scene, nn.Module):
            raise InputError(f"scene branch {name}: is no nn.Module; see unish.network.outputs.SceneBranch")
        if scene.hidden_dim != self.scene.hidden_dim:
            raise InputError(
                f"scene branch {name}: its tokens have {scene.hidden_dim} channels, AlignNet reads "
                f"{self.scene.hidden_dim}; pad them with zeros, or project them"
            )
        before = self.fingerprint
        self.scene = scene.to(self.device).eval()
        self.__dict__["fingerprint"] = f"{before}, scene branch {name}"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @cached_property
    def fingerprint(self) -> str:
        """Name and sha256 of the weights this network was loaded from; without files, that it was not loaded."""
        return f"{self.config.name} (not loaded)" if self._stored is None else self._stored.fingerprint()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        device: str | torch.device = "cpu",
        *,
        revision: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> UniSH:
        """Load weights with their configuration, ready for inference.

        On the CPU the published network reads weights that have their format in the file straight from there, mapped
        into memory.

        Args:
            name_or_path: ``small``, a folder written by ``save_pretrained``, a published ``.safetensors`` file, or
                ``OWNER/NAME`` (or ``OWNER/NAME@REVISION``) of the Hugging Face hub.
            device: where the weights go.
            revision: branch, tag or commit of the repository on the hub.
            dtype: in which the published network computes, see ``unish.network.precision``: ``torch.float32``,
                ``torch.bfloat16`` (as published) or ``torch.float16``.

        Raises:
            InputError: no such weights, a file that is broken or does not fit, or a dtype that is none of the three.
        """
        stored = find_weights(name_or_path, revision)
        # What is drawn at random is overwritten, and nobody's random numbers are to change for it.
        with torch.random.fork_rng(devices=[]), torch.device("meta" if _is_all_in_checkpoint(stored.config) else "cpu"):
            model = cls(stored.config)
        stored.load_into(model, device, dtype=dtype)
        model._stored = stored
        return model.to(device).eval()

    def in_a_hurry(self) -> UniSH:
        """The same weights, with views compared as ``fast_views`` says."""
        if self.config.views is None:
            return self
        twin = copy(self)
        twin.config = replace(self.config, views=fast_views(self.config.views))
        return twin

    def recompute_in_backward(self, recompute: bool = True) -> None:
        """Trade time for memory in training: blocks keep their input alone and compute again in the backward pass."""
        for module in self.modules():
            if isinstance(module, Block):
                module.recompute = recompute

    def compile_blocks(self) -> None:
        """Have ``torch.compile`` make every transformer block faster; the first call then takes minutes.

        Blocks of one kind share what is compiled, whatever their weights and the number of frames.
        """
        for module in self.modules():
            if isinstance(module, Block):
                module.compile(dynamic=True)

    def save_pretrained(
        self, folder: str | Path, *, dtype: torch.dtype | None = None, max_shard_size: str | int = "5GB"
    ) -> None:
        """Write ``config.json`` and ``model.safetensors`` into ``folder``.

        Args:
            folder: made when missing; weights that are there already are replaced.
            dtype: of all floating-point tensors in the file (``torch.float16`` for shipping); unchanged if ``None``.
            max_shard_size: above it (bytes, or a text like ``"5GB"``) the weights are split into several files with
                an index.

        Raises:
            InputError: the folder cannot be written.
        """
        save_weights(self.config, self.state_dict(), folder, dtype=dtype, max_shard_size=max_shard_size)


def _scale_by_prior(scene: SceneOutput, scale: Float[Tensor, "B"] | None) -> Float[Tensor, "B"] | None:
    """What a metric depth prior says of ``Prediction.scale``, else what AlignNet says."""
    return scale if scene.metres_per_unit is None else scene.metres_per_unit * masked_mean_distance(scene)


def _tell_turns(humans: HumanInputs, scene: SceneOutput) -> HumanInputs:
    """People move smoothly in the world, not in the picture of a camera that turns; where all its turns are known."""
    if scene.joined is None:
        return humans
    known = scene.joined.all(1)[:, None, None, None]
    rotations = torch.where(known, scene.c2w[..., :3, :3], torch.eye(3, device=scene.c2w.device)).detach()
    return replace(humans, camera_rotations=rotations)


def _is_all_in_checkpoint(config: UniSHConfig) -> bool:
    """Whether every number of the network is a stored one, so that it can be built without any, on the meta device.

    The branches of the small network also have constants that no checkpoint holds.
    """
    return (
        isinstance(config.scene, ReleaseSceneConfig)
        and isinstance(config.human, CropBranchConfig)
        and not config.align.start_from_ruler
    )
