"""What the localisation stages train: AlignNet, with or without the human branch, on the answer of a frozen scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from unish.lab.training.stages.people_cache import PeopleBatch
from unish.network import UniSH
from unish.network.closed_form_placement import masked_mean_distance
from unish.network.config import UniSHConfig
from unish.network.human.landmark_branch import LandmarkBranchConfig
from unish.network.outputs import HumanOutput
from unish.network.small_scene import SmallSceneConfig
from unish.structs import BodyParams


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where the network puts everybody.

    Attributes:
        params: (B, P, N) bodies in the camera, metres, before the z-shift of the recovered cameras.
        units: (B, P, N, 3) the translation in the unit of the scene's points.
        metres_per_unit: (B,) the predicted scale.
    """

    params: BodyParams
    units: Float[Tensor, "B P N 3"]
    metres_per_unit: Float[Tensor, "B"]


class Localiser(nn.Module):
    """The parts of a ``UniSH`` that localise people; its tensors have the names that they have there.

    Args:
        network: its human branch and AlignNet are used in place, not copied.
        trains_human: ask the human branch in every step; otherwise the answers in the batch are taken.
    """

    def __init__(self, network: UniSH, *, trains_human: bool = False) -> None:
        super().__init__()
        self.align = network.align.requires_grad_(True)
        self.human = network.human.requires_grad_(trains_human)
        self.trains_human = trains_human
        self.is_metric = network.config.align.start_from_ruler
        self._hidden_dim = network.scene.hidden_dim
        scene = network.config.scene
        self.knows_geometry = isinstance(scene, SmallSceneConfig) and scene.geometry_in_tokens

    def train(self, mode: bool = True) -> Localiser:
        """A frozen human branch answers as at inference."""
        super().train(mode)
        if not self.trains_human:
            self.human.eval()
        return self

    def forward(self, batch: PeopleBatch) -> Located:
        people = self.lift(batch)
        # A network whose tokens do not tell their geometry reads the same files; adapters normalise tokens anyhow.
        scene = replace(batch.scene, hidden=batch.scene.hidden[..., : self._hidden_dim])
        aligned = self.align(scene, people, batch.humans, batch.timestamps.float())
        metres_per_unit = aligned.scale / masked_mean_distance(scene).clamp_min(1e-6)
        frames = people.rotations.shape[2]
        params = BodyParams(
            betas=people.betas[:, :, None].expand(-1, -1, frames, -1),
            global_orient=people.rotations[..., 0, :, :],
            body_pose=people.rotations[..., 1:, :, :],
            transl=aligned.transl,
        )
        units = aligned.transl / metres_per_unit[:, None, None, None]
        return Located(params=params, units=units, metres_per_unit=metres_per_unit)

    def lift(self, batch: PeopleBatch) -> HumanOutput:
        """Pose, shape and token of everybody."""
        if self.trains_human or batch.people is None:
            return self.human(batch.humans, batch.timestamps, batch.scene.intrinsics)
        # Likewise, if its tokens do not tell the place of the person.
        return replace(batch.people, token=batch.people.token[..., : self.align.token_dim])


def build_network(config: UniSHConfig, trained: UniSH) -> UniSH:
    """A network with the scene and human branches of a trained one and an untrained AlignNet.

    Args:
        config: its branches must be those of ``trained``, but for what has no weights.
    """
    network = UniSH(config)
    network.scene.load_state_dict(trained.scene.state_dict())
    network.human.load_state_dict(trained.human.state_dict())
    return network.eval()


def plain_config(config: UniSHConfig) -> UniSHConfig:
    """The same network with an AlignNet as published: it regresses scale and place from tokens alone.

    The published tokens know the box of the person and the points of the scene; ours have to be told to say it.
    """
    scene, human = config.scene, config.human
    if isinstance(scene, SmallSceneConfig):
        scene = replace(scene, geometry_in_tokens=True)
    if isinstance(human, LandmarkBranchConfig):
        human = replace(human, place_in_token=True)
    return replace(config, scene=scene, human=human, align=replace(config.align, start_from_ruler=False))


def shift_into_cameras(located: Located, batch: PeopleBatch) -> BodyParams:
    """The bodies in the recovered cameras: as at inference, the z-shift of the points moves who stands among them."""
    shift = batch.shift[:, None] * located.metres_per_unit[:, None, None]
    return replace(located.params, transl=located.params.transl + nn.functional.pad(shift[..., None], (2, 0)))
