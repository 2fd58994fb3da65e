"""Our human branch: a window of BlazePose landmarks in, SMPL rotations, shape and tokens out, in one pass.

Each person gets a camera turned towards them (``viewing_ray``). Closed-form bone directions give a first pose
(``analytic_pose``). Transformer stages over time correct it; every stage reads the residuals of the landmarks, in
the picture and in space, for the body of the stage before it at its closed-form position (``geometry.ruler``). A fixed
number of Gauss–Newton steps (``solver``) then brings the body to the landmarks in the picture.

Legend: B clips, P people, S = B·P, N frames, L = 33 landmarks, C channels, K = 24 joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unish.body import Body, load_body
from unish.body.joint_evidence import joint_certainty
from unish.body.joints import MIRRORED_JOINTS, NUM_BETAS, NUM_JOINTS
from unish.geometry.rotation import matrix_to_rot6d, nearest_rotation, rot6d_to_matrix
from unish.network.geometry_tokens import NUM_PLACE, describe_place
from unish.network.human.analytic_pose import rotations_from_landmarks
from unish.network.human.solver import limit_statures, solve_bodies
from unish.network.human.unseen_legs import complete_legs
from unish.network.human.viewing_ray import PersonView, image_aligned_points, place_landmarks, view_person
from unish.network.layers import Mlp
from unish.network.outputs import HumanOutput
from unish.network.rope import Rotary
from unish.structs import NUM_LANDMARKS, BodyParams, HumanInputs

_ERROR_UNIT_M = 0.1  # residuals are in decimetres, so that they have the scale of poses at the start of training
_EVIDENCE_DIM = NUM_LANDMARKS * (3 + 3 + 2 + 1) + 2
_SEEN_AT = 0.3  # visibility from which on a leg's pose is the network's; below, a guess
_STATE_DIM = NUM_JOINTS * 6 + NUM_BETAS + NUM_LANDMARKS * 5 + 1


@dataclass(frozen=True, kw_only=True)
class LandmarkBranchConfig:
    """Size and behaviour of the branch.

    Attributes:
        body: body model whose landmarks are compared and whose shape space ``betas`` belong to.
        dim, num_heads, mlp_ratio: of the transformer blocks.
        stage_depths: blocks in each correcting stage.
        span_s: frames attend to each other over at most this time, so clips may be longer than any seen in training.
        max_frequency, frequency_range: fastest turn of the rotary time embedding in rad/s, and how many times slower
            the slowest is.
        place_in_token: append to each token where in the picture the person is and how large, which the rest of the
            token does not encode. A plain AlignNet needs it, as in the published network, whose token encodes the box.
        solver_steps: Gauss–Newton steps after the network (``human.solver``); 0 leaves its poses as they are.
        flip_average: run the mirrored person too and average (twice the cost, mirrored input gives mirrored output).
    """

    body: str = "free"
    dim: int = 256
    num_heads: int = 8
    mlp_ratio: float = 3.0
    stage_depths: tuple[int, ...] = (3, 3)
    span_s: float = 2.0
    max_frequency: float = 60.0
    frequency_range: float = 200.0
    flip_average: bool = True
    place_in_token: bool = False
    solver_steps: int = 3

    @property
    def token_dim(self) -> int:
        """Channels of ``HumanOutput.token``."""
        return self.dim + NUM_PLACE * self.place_in_token


class BodyState(NamedTuple):
    """A pose in the person's view and the person's shape."""

    rotations: Float[Tensor, "S N K 3 3"]
    betas: Float[Tensor, "S 10"]


class LandmarkBranch(nn.Module):
    """Landmarks over time to SMPL; see the module's description."""

    def __init__(self, config: LandmarkBranchConfig) -> None:
        super().__init__()
        self.config = config
        self._body: Body | None = None
        self.embed_evidence = nn.Sequential(nn.Linear(_EVIDENCE_DIM, config.dim), nn.GELU())
        self.unseen = nn.Parameter(torch.zeros(config.dim))
        self.stages = nn.ModuleList(CorrectionStage(config, depth) for depth in config.stage_depths)
        self.norm = nn.LayerNorm(config.dim)

    def forward(
        self, humans: HumanInputs, timestamps: Float[Tensor, "B N"], intrinsics: Float[Tensor, "B N 3 3"]
    ) -> HumanOutput:
        """Lift every person.

        Frames in which a person is not observed get a pose from their neighbours in time; a person who is never
        observed gets the rest pose.

        Args:
            humans: with ``landmarks_px`` in pixels of the images that ``intrinsics`` belong to, and
                ``landmarks_world``.
            timestamps: seconds.
            intrinsics: pixels; a wrong focal length is tolerated, it changes the perspective and not the pose.

        Raises:
            ValueError: landmarks are missing.
        """
        if humans.landmarks_px is None or humans.landmarks_world is None:
            raise ValueError("the landmark branch reads humans.landmarks_px and humans.landmarks_world; give both")
        people = humans.valid.shape[:2]
        per_person = [x[:, None].expand(*people, *x.shape[1:]).flatten(0, 1) for x in (timestamps, intrinsics)]
        with torch.autocast(timestamps.device.type, enabled=False):
            view = view_person(
                _hide_outside(humans.landmarks_px, humans.landmarks_sigma_px).flatten(0, 1).float(),
                humans.landmarks_world.flatten(0, 1).float(),
                humans.valid.flatten(0, 1), per_person[1].float(),
            )  # fmt: skip
        state, token = self.lift(view, per_person[0])
        if self.config.flip_average and not self.training:
            mirrored, mirrored_token = self.lift(view.mirror(), per_person[0])
            state = _average(state, _mirror_state(mirrored))
            token = (token + mirrored_token) / 2
        if self.config.place_in_token:
            ray = view.to_camera[..., :, 2]
            place = describe_place(ray[..., :2] / ray[..., 2:], view.inverse_depth)
            token = torch.cat([token, torch.where(view.observed[..., None], place, 0.0).to(token.dtype)], dim=-1)
        root = view.to_camera @ state.rotations[:, :, 0]
        rotations, betas = torch.cat([root[:, :, None], state.rotations[:, :, 1:]], dim=2), state.betas
        if self.config.solver_steps:
            turned = humans.camera_rotations
            if turned is not None:
                turned = turned[:, None].expand(*people, -1, -1, -1).flatten(0, 1).float()
            rotations, betas = self._solve(rotations, betas, view, per_person, humans.landmarks_sigma_px, turned)
        return HumanOutput(
            rotations=rotations.unflatten(0, people),
            betas=betas.unflatten(0, people),
            token=token.unflatten(0, people),
        )

    def lift(self, view: PersonView, timestamps: Float[Tensor, "S N"]) -> tuple[BodyState, Float[Tensor, "S N C"]]:
        """Body state in the person's view, and tokens; no mirroring here."""
        body = self._body_on(view.points.device)
        with torch.autocast(view.points.device.type, enabled=False):
            aligned = image_aligned_points(view)
            state = _first_state(view, aligned, timestamps, body)
            evidence = _describe_evidence(view, aligned)
        x = torch.where(view.observed[..., None], self.embed_evidence(evidence), self.unseen.to(evidence.dtype))
        rotary = _time_rotary(timestamps, self.config)
        near = (timestamps[:, :, None] - timestamps[:, None, :]).abs() <= self.config.span_s
        itself = torch.eye(timestamps.shape[1], dtype=torch.bool, device=timestamps.device)
        mask = (near & view.observed[:, None, :]) | itself
        for stage in self.stages:
            with torch.no_grad(), torch.autocast(view.points.device.type, enabled=False):
                description = _describe_state(state, view, body)
            x, state = stage(x, description, state, view.observed, rotary, mask)
        return state, self.norm(x)

    def _solve(
        self,
        rotations: Float[Tensor, "S N K 3 3"],
        betas: Float[Tensor, "S 10"],
        view: PersonView,
        per_person: list[Tensor],
        sigma_px: Float[Tensor, "B P N L"] | None,
        camera_rotations: Float[Tensor, "S N 3 3"] | None,
    ) -> tuple[Float[Tensor, "S N K 3 3"], Float[Tensor, "S 10"]]:
        """Rotations, the root in the camera, and shapes after the steps of the solver; in float32."""
        timestamps, intrinsics = per_person
        sigma = None
        if sigma_px is not None:
            # Detached: no camera is to be learnt from standard errors, and infinite ones would have no gradient.
            focal = (intrinsics[..., 0, 0] * intrinsics[..., 1, 1]).sqrt().detach()
            sigma = sigma_px.flatten(0, 1).float() / focal[..., None]
        with torch.autocast(rotations.device.type, enabled=False):
            certainty = joint_certainty((view.visibility / _SEEN_AT).clamp_max(1.0))
            completed = complete_legs(rotations.float(), certainty, timestamps)
            body = self._body_on(rotations.device)
            return solve_bodies(
                body, completed, limit_statures(body, betas.float()), view, timestamps,
                steps=self.config.solver_steps, sigma=sigma, camera_rotations=camera_rotations,
            )  # fmt: skip

    def _body_on(self, device: torch.device) -> Body:
        """The body on a device. Read on first use: it is an asset, not a weight, and not needed to build the branch."""
        if self._body is None or self._body.template.device != device:
            self._body = load_body(self.config.body).to(device)
        return self._body


class CorrectionStage(nn.Module):
    """Encodes the errors of a state, attends over time, and returns a corrected state."""

    def __init__(self, config: LandmarkBranchConfig, depth: int) -> None:
        super().__init__()
        self.embed_state = nn.Sequential(
            nn.Linear(_STATE_DIM, config.dim), nn.GELU(), nn.Linear(config.dim, config.dim)
        )
        self.blocks = nn.ModuleList(TimeBlock(config) for _ in range(depth))
        self.norm = nn.LayerNorm(config.dim)
        self.turn = nn.Linear(config.dim, NUM_JOINTS * 6)
        self.shape = nn.Linear(config.dim, NUM_BETAS + 1)
        # The first output is the input state.
        for head in (self.turn, self.shape):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(
        self,
        x: Float[Tensor, "S N C"],
        description: Float[Tensor, "S N E"],
        state: BodyState,
        observed: Bool[Tensor, "S N"],
        rotary: Rotary,
        mask: Bool[Tensor, "S N N"],
    ) -> tuple[Float[Tensor, "S N C"], BodyState]:
        """Tokens and state after this stage."""
        x = x + self.embed_state(description) * observed[..., None]
        for block in self.blocks:
            x = block(x, rotary, mask)
        normed = self.norm(x)
        turn, shape = self.turn(normed).float().unflatten(-1, (NUM_JOINTS, 6)), self.shape(normed).float()
        with torch.autocast(x.device.type, enabled=False):
            rotations = state.rotations @ rot6d_to_matrix(turn + turn.new_tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
        betas = state.betas + _pool(shape[..., :-1], shape[..., -1], observed)
        return x, BodyState(rotations, betas)


class TimeBlock(nn.Module):
    """Pre-norm transformer block over the frames of one person."""

    def __init__(self, config: LandmarkBranchConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm1 = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = Mlp(config.dim, int(config.dim * config.mlp_ratio))

    def forward(self, x: Float[Tensor, "S N C"], rotary: Rotary, mask: Bool[Tensor, "S N N"]) -> Float[Tensor, "S N C"]:
        """``mask`` says which frame (last axis) each frame may read."""
        qkv = self.qkv(self.norm1(x)).float().unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        # Written out: the fused kernels are several times slower for a few dozen frames on a CPU.
        scores = rotary.rotate(query) @ rotary.rotate(key).mT * query.shape[-1] ** -0.5
        out = torch.where(mask[:, None], scores, -1e4).softmax(dim=-1) @ value
        x = x + self.proj(out.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def _hide_outside(
    landmarks_px: Float[Tensor, "B P N L 3"], sigma_px: Float[Tensor, "B P N L"] | None
) -> Float[Tensor, "B P N L 3"]:
    """Landmarks outside of the picture are not visible, whatever the landmark model says of them."""
    if sigma_px is None:
        return landmarks_px
    visibility = torch.where(sigma_px.isinf(), 0.0, landmarks_px[..., 2])
    return torch.cat([landmarks_px[..., :2], visibility[..., None]], dim=-1)


def _time_rotary(timestamps: Float[Tensor, "S N"], config: LandmarkBranchConfig) -> Rotary:
    """Queries and keys turn with real time, so that only differences of timestamps matter."""
    half = config.dim // config.num_heads // 2
    steps = torch.linspace(0, 1, half, device=timestamps.device)
    since_start = (timestamps - timestamps[:, :1]).float()
    angles = since_start[..., None] * (config.max_frequency * config.frequency_range**-steps)
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return Rotary(angles.cos(), angles.sin(), num_axes=1)


def _first_state(
    view: PersonView, aligned: Float[Tensor, "S N L 3"], timestamps: Float[Tensor, "S N"], body: Body
) -> BodyState:
    """Closed-form pose of each frame, of the nearest observed frame elsewhere; mean shape."""
    betas = aligned.new_zeros(len(aligned), NUM_BETAS)
    identity = torch.eye(3, device=aligned.device, dtype=aligned.dtype)
    rest = BodyParams(
        betas=betas.new_zeros(NUM_BETAS), global_orient=identity, body_pose=identity.expand(23, 3, 3),
        transl=betas.new_zeros(3),
    )  # fmt: skip
    rotations = rotations_from_landmarks(aligned, body.landmarks(rest))
    distance = (timestamps[:, :, None] - timestamps[:, None, :]).abs().float()
    nearest = torch.where(view.observed[:, None, :], distance, torch.inf).argmin(dim=-1)
    rotations = rotations.gather(1, nearest[..., None, None, None].expand_as(rotations))
    ever_observed = view.observed.any(dim=1)[:, None, None, None, None]
    # A person who was never observed stands upright in the picture: y of the body up, y of the camera down.
    upright = identity.expand(NUM_JOINTS, 3, 3).clone()
    upright[0] = torch.diag(upright.new_tensor([1.0, -1.0, -1.0]))
    return BodyState(torch.where(ever_observed, rotations, upright), betas)


def _describe_evidence(view: PersonView, aligned: Float[Tensor, "S N L 3"]) -> Float[Tensor, "S N E"]:
    """The observation, in metres of the person."""
    inverse = view.inverse_depth.clamp_min(1e-6)
    size = (inverse * 4.0).log()[..., None]
    offsets = (view.image_points / inverse[..., None, None]).clamp(-4, 4)
    numbers = [aligned.clamp(-4, 4).flatten(2), view.points.flatten(2), offsets.flatten(2), view.visibility]
    return torch.cat([*numbers, size, inverse[..., None]], dim=-1)


def _describe_state(state: BodyState, view: PersonView, body: Body) -> Float[Tensor, "S N E"]:
    """The state, and the residuals of its landmarks (body at its closed-form position) in picture and space."""
    num_frames = state.rotations.shape[1]
    betas = state.betas[:, None].expand(-1, num_frames, -1)
    params = BodyParams(
        betas=betas, global_orient=state.rotations[:, :, 0], body_pose=state.rotations[:, :, 1:],
        transl=state.rotations.new_zeros(*betas.shape[:2], 3),
    )  # fmt: skip
    landmarks = body.landmarks(params)
    centred = landmarks - landmarks[..., 23:25, :].mean(dim=-2, keepdim=True)
    transl = place_landmarks(centred, view)
    placed = centred + transl[..., None, :]
    depth = placed[..., 2:].clamp_min(0.1)
    in_picture = ((placed[..., :2] - view.image_points * depth) / _ERROR_UNIT_M).clamp(-8, 8)
    in_space = ((centred - view.points) / _ERROR_UNIT_M).clamp(-8, 8)
    # Distance by the solve over distance by the landmarks' own size: a wrong shape or pose would explain it.
    ratio = transl[..., 2:].clamp_min(0.1) * view.inverse_depth[..., None].clamp_min(1e-3)
    stretch = ratio.log().clamp(-2, 2) / _ERROR_UNIT_M
    parts = [matrix_to_rot6d(state.rotations).flatten(2), betas, in_picture.flatten(2), in_space.flatten(2), stretch]
    return torch.cat(parts, dim=-1)


def _pool(
    values: Float[Tensor, "S N 10"], logits: Float[Tensor, "S N"], observed: Bool[Tensor, "S N"]
) -> Float[Tensor, "S 10"]:
    """Mean over the observed frames with learned weights; zero for a person who was never observed."""
    weights = torch.where(observed, logits, -1e4).softmax(dim=1) * observed
    return (values * weights[..., None]).sum(dim=1)


def _mirror_state(state: BodyState) -> BodyState:
    """The state of the mirrored person, x → −x in view and body alike."""
    flip = state.rotations.new_tensor([-1.0, 1.0, 1.0])
    return BodyState(state.rotations[:, :, list(MIRRORED_JOINTS)] * (flip[:, None] * flip), state.betas)


def _average(first: BodyState, second: BodyState) -> BodyState:
    """Chordal mean of the rotations, mean of the shapes."""
    return BodyState(nearest_rotation(first.rotations + second.rotations), (first.betas + second.betas) / 2)
