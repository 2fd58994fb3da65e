"""A world of which everything is known, and a network that knows it: what goes in must come out of the pipeline.

Two people walk over a level floor in front of a wall, in two shots. The pictures are noise, by which the network tells
the frames; its answers are the truth in units that differ from window to window, and wrong wherever it says that it is
not sure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unish.body import Body, move_body
from unish.geometry.camera import project, unproject
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network import UniSHConfig
from unish.render.plain import rasterize
from unish.structs import BodyParams, Clip, HumanInputs, Landmarks, Prediction, Tracks

SOURCE_SIZE, CLIP_SIZE, SIZE = (300, 500), (150, 250), (64, 128)
"""(height, width) of the file, of the frames that are read, and of those that the network sees: its pixels are a fifth
wider than high."""

SHOTS = (slice(0, 7), slice(7, 11))
NUM_FRAMES, NUM_PEOPLE = 11, 2
CAMERA_HEIGHT_M, WALL_M = 1.5, 8.0
ABSENT = (1, 4)
"""(person, frame) in which somebody is not seen."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Stage axes are those of a level camera: x right, y down, z forward; the floor is y = ``CAMERA_HEIGHT_M``.

    Attributes:
        c2stage: (T, 4, 4).
        intrinsics: (T, 3, 3) pixels of the network's images.
        params: bodies in each frame's camera, (P, T).
        depth: (T, H, W) z in metres.
        conf_logits: (T, H, W) −4 in a corner and on a part of each person, where the network errs.
    """

    body: Body
    clip: Clip
    c2stage: Tensor
    intrinsics: Tensor
    betas: Tensor
    params: BodyParams
    depth: Tensor
    conf_logits: Tensor
    tracks: Tracks
    landmarks: Landmarks
    shots: tuple[slice, ...] = SHOTS

    @property
    def c2w(self) -> Tensor:
        """(T, 4, 4), world = first camera of the shot."""
        return torch.cat([invert_rigid(self.c2stage[shot][0]) @ self.c2stage[shot] for shot in self.shots])

    def world_params(self) -> BodyParams:
        rest = self.body.rest_joints(self.params.betas)[..., 0, :]
        return move_body(self.params, self.c2w.expand(len(self.betas), -1, -1, -1), rest)

    def floors(self) -> Tensor:
        """(S, 4) planes n·x + d = 0 with n up, in each shot's world."""
        first = torch.stack([self.c2stage[shot.start] for shot in self.shots])
        up = -first[:, 1, :3]
        return torch.cat([up, (CAMERA_HEIGHT_M - first[:, 1, 3])[:, None]], dim=-1)


def make_world(
    body: Body, intrinsics: Tensor, *, betas: Tensor, people: int = NUM_PEOPLE, lift: Tensor | None = None
) -> World:
    """A camera for each shot, and people who may be off the floor.

    Args:
        intrinsics: (2, 3, 3) pixels of the clip.
        lift: (P, T) metres that people are above the floor; 0 if not given.
    """
    factor = torch.tensor([SIZE[1] / CLIP_SIZE[1], SIZE[0] / CLIP_SIZE[0], 1.0])
    per_frame = torch.cat([intrinsics[i].expand(shot.stop - shot.start, 3, 3) for i, shot in enumerate(SHOTS)])
    small = per_frame * factor[:, None]
    c2stage = _move_camera()
    stage = _pose_people(body, betas)
    if lift is not None:
        stage = replace(stage, transl=stage.transl - lift[..., None] * torch.tensor([0.0, 1.0, 0.0]))
    w2c = invert_rigid(c2stage).expand(NUM_PEOPLE, -1, -1, -1)
    params = move_body(stage, w2c, body.rest_joints(stage.betas)[..., 0, :])
    valid = torch.ones(NUM_PEOPLE, NUM_FRAMES, dtype=torch.bool)
    valid[ABSENT] = False
    valid[people:] = False
    depth, masks = _draw(body, params, c2stage, small, valid)
    marks = body.landmarks(params)
    pixels = project(marks, per_frame.expand(NUM_PEOPLE, -1, -1, -1))
    tracks, landmarks = _observe(pixels, marks, valid, masks, people)
    generator = torch.Generator().manual_seed(0)
    clip = Clip(
        images=torch.randint(0, 255, (NUM_FRAMES, *CLIP_SIZE, 3), generator=generator, dtype=torch.uint8),
        timestamps_s=7200.0 + torch.arange(NUM_FRAMES, dtype=torch.float64) / 6,
        frame_indices=5 * torch.arange(NUM_FRAMES),
        segment=torch.tensor([0] * SHOTS[0].stop + [1] * (NUM_FRAMES - SHOTS[1].start)),
        source_size=SOURCE_SIZE,
        name="oracle",
    )
    logits = torch.full(depth.shape, 4.0)
    logits[:, :12, :20] = -4.0
    logits[:, 30:34][masks[:, 30:34] >= 0] = -4.0
    return World(
        body=body, clip=clip, c2stage=c2stage, intrinsics=small, betas=betas, params=params, depth=depth,
        conf_logits=logits, tracks=tracks, landmarks=landmarks,
    )  # fmt: skip


def _move_camera() -> Tensor:
    """A camera that looks down, leans, walks and turns; after the cut it stands elsewhere."""
    time = torch.arange(NUM_FRAMES) / 6.0
    pitch, yaw = torch.full_like(time, -0.12) + 0.02 * time, 0.1 * time - 0.05
    yaw[SHOTS[1]] += 0.15
    turn = axis_angle_to_matrix(torch.stack([torch.zeros_like(yaw), yaw, torch.zeros_like(yaw)], -1))
    tilt = axis_angle_to_matrix(torch.stack([pitch, torch.zeros_like(yaw), 0.05 * torch.ones_like(yaw)], -1))
    place = torch.stack([0.3 * time - 0.1, 0.02 * time, 0.2 * time], -1)
    place[SHOTS[1]] += torch.tensor([-0.6, -0.1, 0.4])
    return make_rigid(turn @ tilt, place)


def _pose_people(body: Body, betas: Tensor) -> BodyParams:
    """In the stage, upright with moving arms, the soles on the floor."""
    time = torch.arange(NUM_FRAMES) / 6.0
    pose = torch.zeros(NUM_PEOPLE, NUM_FRAMES, 23, 3)
    pose[:, :, 15, 2] = -0.9 + 0.3 * time
    pose[:, :, 16, 2] = 0.9 - 0.2 * time
    pose[1, :, 17, 1] = -0.5
    upright = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    facing = axis_angle_to_matrix(torch.tensor([[0.0, 0.3, 0.0], [0.0, -0.4, 0.0]]))
    orient = (facing @ upright)[:, None].expand(-1, NUM_FRAMES, 3, 3)
    place = torch.stack([-0.5 + 0.15 * time, torch.zeros_like(time), 3.6 + 0.05 * time], -1)
    other = torch.stack([0.9 - 0.1 * time, torch.zeros_like(time), 4.6 - 0.05 * time], -1)
    params = BodyParams(
        betas=betas[:, None].expand(-1, NUM_FRAMES, -1),
        global_orient=orient,
        body_pose=axis_angle_to_matrix(pose),
        transl=torch.stack([place, other]),
    )
    lowest = body.vertices(params)[..., 1].amax(-1)
    down = torch.stack([torch.zeros_like(lowest), CAMERA_HEIGHT_M - lowest, torch.zeros_like(lowest)], -1)
    return replace(params, transl=params.transl + down)


def _draw(body: Body, params: BodyParams, c2stage: Tensor, intrinsics: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Depth of floor, wall and people, and whom each pixel shows."""
    local = unproject(torch.ones(NUM_FRAMES, *SIZE), intrinsics)
    rays = local @ c2stage[:, None, :3, :3].mT
    centre = c2stage[:, None, None, :3, 3]
    floor = (CAMERA_HEIGHT_M - centre[..., 1]) / rays[..., 1]
    wall = (WALL_M - centre[..., 2]) / rays[..., 2]
    depth = torch.where((floor > 0) & (floor < wall), floor, wall)
    masks = torch.full(depth.shape, -1, dtype=torch.int16)
    vertices = body.vertices(params)
    for person, frame in valid.nonzero().tolist():
        hit = rasterize(vertices[person, frame].numpy(), body.faces.numpy(), intrinsics[frame].numpy(), SIZE)
        own = torch.from_numpy(hit.depth)
        seen = (own > 0) & (own < depth[frame])
        depth[frame][seen] = own[seen]
        masks[frame][seen] = person
    return depth, masks


def _observe(pixels: Tensor, marks: Tensor, valid: Tensor, masks: Tensor, people: int) -> tuple[Tracks, Landmarks]:
    """What a perfect people stage says, in pixels of the clip."""
    keep = valid[:people]
    boxes = torch.cat([pixels.amin(-2) - 2, pixels.amax(-2) + 2], dim=-1)[:people]
    seen = torch.cat([pixels, torch.full_like(pixels[..., :1], 0.9)], dim=-1)[:people]
    around = (marks - marks[..., 23:25, :].mean(-2, keepdim=True))[:people]
    tracks = Tracks(
        person_ids=torch.tensor([4, 9])[:people],
        valid=keep,
        boxes_xyxy=torch.where(keep[..., None], boxes, torch.nan),
        masks=masks,
    )
    blank = keep[..., None, None]
    return tracks, Landmarks(
        px=torch.where(blank, seen, torch.nan), world=torch.where(blank, around, torch.nan), score=keep.float()
    )


@dataclass
class OracleNetwork:
    """The truth about ``world``, in a unit of its own in every call.

    Attributes:
        config: of the network that it stands in for: which body the shapes are of, whether crops are read, and whether
            the camera is told.
        betas: (P, 10) in the shape space of ``config.body``.
        knows_transl: places people itself, in metres.
        calls: frames of each call, and whether the camera was given.
    """

    world: World
    config: UniSHConfig
    betas: Tensor
    fingerprint: str = "oracle"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    calls: list[tuple[range, bool]] = field(default_factory=list)

    def __call__(
        self,
        images: Tensor,
        humans: HumanInputs | None,
        timestamps: Tensor,
        intrinsics: Tensor | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
        people_masks: Tensor | None = None,
        usable: Tensor | None = None,
    ) -> Prediction:
        world, frames = self.world, self._recognise(images)
        index = list(frames)
        self.calls.append((frames, intrinsics is not None))
        assert picture_size == CLIP_SIZE, "the network is told which picture has square pixels"
        assert people_masks is not None and usable is not None and usable.shape == people_masks.shape
        assert torch.equal(people_masks[0], world.tracks.masks[index]), "the network is told where people are"
        since = torch.tensor([shot.start for shot in world.shots if frames.start in range(shot.start, shot.stop)])
        times = (world.clip.timestamps_s[index] - world.clip.timestamps_s[since]).float()
        torch.testing.assert_close(timestamps, times[None], rtol=0, atol=1e-6)
        if intrinsics is not None:
            torch.testing.assert_close(intrinsics, world.intrinsics[index][None], rtol=1e-3, atol=0.02)
        unit = 0.5 + 0.35 * len(self.calls)
        c2w = invert_rigid(world.c2stage[index[0]]) @ world.c2stage[index]
        c2w[0] = torch.eye(4)
        c2w[:, :3, 3] /= unit
        logits = world.conf_logits[index]
        points = unproject(torch.where(logits > 0, world.depth[index], 3 * world.depth[index]), world.intrinsics[index])
        prediction = Prediction(
            local_points=points[None] / unit,
            point_conf_logits=logits[None],
            c2w=c2w[None],
            scale=points[logits > 0].norm(dim=-1).mean()[None],
            intrinsics=world.intrinsics[index][None] if self.config.predicts_camera else None,
        )
        return prediction if humans is None else replace(prediction, **self._of_people(humans, index, images))

    def _recognise(self, images: Tensor) -> range:
        """Which frames these are: their pictures are noise, and no two are alike."""
        own = torch.nn.functional.interpolate(
            self.world.clip.images.permute(0, 3, 1, 2).float() / 255, SIZE, mode="bilinear", antialias=True
        )
        assert images.shape[-2:] == SIZE
        found = torch.cdist(images[0].flatten(1), own.flatten(1)).argmin(1).tolist()
        assert found == list(range(found[0], found[0] + len(found)))
        return range(found[0], found[0] + len(found))

    def _of_people(self, humans: HumanInputs, index: list[int], images: Tensor) -> dict[str, Tensor]:
        world, people = self.world, humans.valid.shape[1]
        assert torch.equal(humans.valid[0], world.tracks.valid[:, index])
        factor = torch.tensor([SIZE[1] / CLIP_SIZE[1], SIZE[0] / CLIP_SIZE[0]])
        if self.config.reads_crops:
            boxes = (world.tracks.boxes_xyxy[:, index] * factor.repeat(2)).nan_to_num()
            low, high = boxes.split(2, dim=-1)
            middle = torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
            where = torch.cat([(low + high) / 2 - middle, (high - low).amax(-1, keepdim=True)], dim=-1)
            expected = torch.where(humans.valid[0][..., None], where, 0.0)
            torch.testing.assert_close(humans.bbox_info, expected[None], rtol=0, atol=1e-3)
            assert humans.patches is not None and bool((humans.patches.flatten(3).std(-1) > 0.01)[humans.valid].all())
        seen = world.landmarks.px[:, index, :, :2] * factor
        torch.testing.assert_close(humans.landmarks_px[0, ..., :2], seen, rtol=0, atol=1e-3, equal_nan=True)
        params = world.params
        rotations = torch.cat([params.global_orient[:, :, None], params.body_pose], dim=2)
        return {
            "rotations": rotations[None, :people, index],
            "betas": self.betas[None, :people],
            "transl": params.transl[None, :people, index],
        }


def stage_to_shot(world: World, points: Tensor, shot: slice) -> Tensor:
    """Points of the stage in the world of a shot."""
    return transform_points(invert_rigid(world.c2stage[shot.start]), points)
