"""Described clips on disk, and batches of them: what the localisation stages read at hundreds of clips per second."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unish.body import Body
from unish.errors import InputError
from unish.io import written_beside
from unish.lab.datasets import ClipArrays, ClipSource
from unish.lab.training.data import degrade_images
from unish.lab.training.stages.people_clips import PeopleConfig, describe_clips
from unish.network import UniSH
from unish.network.outputs import HumanOutput, SceneOutput
from unish.structs import BodyParams, HumanInputs
from unish.structs.progress import Progress
from unish.video.resize import fit_long_side

_CLIPS_PER_PIECE = 16
_OBSERVED = ("valid", "landmarks_px", "landmarks_world", "rotations", "betas", "token", "patches", "bbox_info")
"""What has an axis of observations, of which a batch takes one."""


@dataclass(frozen=True, kw_only=True)
class PeopleTruth:
    """Exact bodies in the camera (B, P, N), exact intrinsics (pixels of the maps), and the ROE scale of the points."""

    params: BodyParams
    intrinsics: Float[Tensor, "B N 3 3"]
    scale: Float[Tensor, "B"]


@dataclass(frozen=True, kw_only=True)
class PeopleBatch:
    """B clips of N frames with P people each. Pixels are those of the maps.

    Attributes:
        scene: of the frozen scene branch; poses are the identity, no stage here reads them.
        people: of the frozen human branch; ``None`` where a stage trains it.
        person_ids: index into the people axis, −1 = scene, P = somebody else.
        cameras, shift: intrinsics and z-shift recovered from the points.
        truth: ``None`` where there is none, or where it is hidden.
    """

    scene: SceneOutput
    humans: HumanInputs
    people: HumanOutput | None
    timestamps: Float[Tensor, "B N"]
    person_ids: Int[Tensor, "B N h w"]
    cameras: Float[Tensor, "B N 3 3"]
    shift: Float[Tensor, "B N"]
    truth: PeopleTruth | None


def cache_people(
    source: ClipSource,
    folder: Path,
    model: UniSH,
    body: Body,
    config: PeopleConfig,
    *,
    seed: int,
    degrade: bool = False,
    know_camera: bool = False,
    num_clips: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Describe the clips of a source into ``piece-*.safetensors``; pieces that are there are kept.

    Args:
        degrade: worsen the pictures first.
        know_camera: see ``describe_clips``.
        num_clips: only so many, from the first.

    Raises:
        InputError: the folder holds clips described by other weights or with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = min(num_clips or len(source), len(source))
    settings = f"{config} seed={seed} degrade={degrade}" + " camera known" * know_camera
    notes = {"described_by": f"{fingerprint_frozen(model)} {settings}"}
    for piece in _list_pieces(source, total):
        path = folder / f"piece-{piece.start:06d}.safetensors"
        if path.exists():
            _check_notes(path, notes)
        else:
            clips, generators = [], []
            for index in piece:
                clips.append(_load(source, index, config, degrade, np.random.default_rng([seed, index])))
                generators.append(torch.Generator().manual_seed(seed * 1_000_003 + index))
            described = describe_clips(clips, model, body, config, generators, know_camera=know_camera)
            arrays = {name: value.cpu().contiguous() for name, value in described.items()}
            with written_beside(path) as beside:
                save_file(arrays, beside, metadata=notes)
        if progress is not None:
            progress("clips", piece.stop, total)


@runtime_checkable
class PeopleClips(Protocol):
    """Where batches come from."""

    def sample(self, seed: int, step: int, num_clips: int) -> PeopleBatch:
        """Batch ``step`` of the endless draw ``seed``."""
        ...


class PeopleCache:
    """Clips that ``cache_people`` described, mapped into memory.

    Args:
        hide_truth: leave it out of the batches, whatever the files hold.

    Raises:
        InputError: there are none, or a file is broken.
    """

    def __init__(self, folder: Path, *, hide_truth: bool = False) -> None:
        try:
            self._pieces = [load_file(path) for path in sorted(folder.glob("piece-*.safetensors"))]
        except SafetensorError as error:
            raise InputError(
                f"{folder}: a piece is broken ({error}); delete the folder and describe it again"
            ) from None
        if hide_truth:
            self._pieces = [{k: v for k, v in p.items() if not k.startswith("true_")} for p in self._pieces]
        sizes: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
        for number, piece in enumerate(self._pieces):
            # Somebody has to be seen in two frames at least, or the clip teaches nothing.
            useful = (piece["valid"].sum(-1).amax((1, 2)) >= 2).nonzero()[:, 0].tolist()
            sizes[tuple(piece["person_ids"].shape[1:])] += [(number, row) for row in useful]
        self._sizes = [clips for clips in sizes.values() if clips]
        if not self._sizes:
            raise InputError(f"{folder}: holds no described clips with people; describe a source that has them")

    def __len__(self) -> int:
        return sum(len(clips) for clips in self._sizes)

    def sample(self, seed: int, step: int, num_clips: int) -> PeopleBatch:
        """Batch ``step`` of the endless draw ``seed``: clips of one size, each with one of its observations."""
        rng = np.random.default_rng([seed, step])
        shares = np.array([len(clips) for clips in self._sizes]) / len(self)
        clips = self._sizes[rng.choice(len(shares), p=shares)]
        chosen = [clips[i] for i in rng.integers(len(clips), size=num_clips)]
        return self._collate(chosen, rng)

    def walk(self, num_clips: int) -> Iterator[PeopleBatch]:
        """Every clip once, with its first observation."""
        for clips in self._sizes:
            for start in range(0, len(clips), num_clips):
                yield self._collate(clips[start : start + num_clips], None)

    def _collate(self, chosen: list[tuple[int, int]], rng: np.random.Generator | None) -> PeopleBatch:
        rows = []
        for number, row in chosen:
            clip = {name: values[row] for name, values in self._pieces[number].items()}
            which = 0 if rng is None else int(rng.integers(len(clip["valid"])))
            rows.append({name: value[which] if name in _OBSERVED else value for name, value in clip.items()})
        return collate_people(rows)


class LivePeople:
    """Batches of clips that are described when they are asked for.

    Args:
        model: its frozen parts are asked, in evaluation mode.
        degrade, hide_truth: as in ``cache_people`` and ``PeopleCache``.
    """

    def __init__(
        self,
        source: ClipSource,
        model: UniSH,
        body: Body,
        config: PeopleConfig,
        *,
        degrade: bool = False,
        hide_truth: bool = False,
    ) -> None:
        self.source = source
        self.model = model
        self.body = body
        self.config = config
        self.degrade = degrade
        self.hide_truth = hide_truth
        self._sizes = np.array([source.size(index) for index in range(len(source))])

    def sample(self, seed: int, step: int, num_clips: int) -> PeopleBatch:
        """Like ``PeopleCache.draw``."""
        rng = np.random.default_rng([seed, step])
        first = rng.integers(len(self.source))
        same = np.flatnonzero((self._sizes == self._sizes[first]).all(1))
        chosen = [int(first), *(int(i) for i in rng.choice(same, num_clips - 1))]
        clips = [_load(self.source, index, self.config, self.degrade, rng) for index in chosen]
        generators = [torch.Generator().manual_seed(int(rng.integers(2**31))) for _ in clips]
        described = describe_clips(clips, self.model, self.body, self.config, generators)
        if self.hide_truth:
            described = {name: value for name, value in described.items() if not name.startswith("true_")}
        rows = [
            {name: value[row, 0] if name in _OBSERVED else value[row] for name, value in described.items()}
            for row in range(num_clips)
        ]
        return collate_people(rows)


def collate_people(clips: list[dict[str, Tensor]]) -> PeopleBatch:
    """Described clips of one size, one observation each, as a batch."""
    arrays = {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}
    frames = arrays["timestamps"].shape
    optional = {name: arrays.get(name) for name in ("patches", "bbox_info")}
    lifted = {name: arrays[name] for name in ("rotations", "betas", "token") if name in arrays}
    return PeopleBatch(
        scene=SceneOutput(
            local_points=arrays["points"].float(),
            point_conf_logits=arrays["conf_logits"].float(),
            c2w=torch.eye(4).expand(*frames, 4, 4),
            intrinsics=arrays["intrinsics"],
            hidden=arrays["hidden"].float(),
        ),
        humans=HumanInputs(
            valid=arrays["valid"], landmarks_px=arrays["landmarks_px"], landmarks_world=arrays["landmarks_world"],
            **optional,
        ),
        people=HumanOutput(**lifted) if lifted else None,
        timestamps=arrays["timestamps"],
        person_ids=arrays["person_ids"].long(),
        cameras=arrays["cameras"],
        shift=arrays["shift"],
        truth=_collate_truth(arrays) if "true_scale" in arrays else None,
    )  # fmt: skip


def _collate_truth(arrays: dict[str, Tensor]) -> PeopleTruth:
    rotations = arrays["true_rotations"]
    return PeopleTruth(
        params=BodyParams(
            betas=arrays["true_betas"][:, :, None].expand(*rotations.shape[:3], -1),
            global_orient=rotations[..., 0, :, :],
            body_pose=rotations[..., 1:, :, :],
            transl=arrays["true_transl"],
        ),
        intrinsics=arrays["true_intrinsics"],
        scale=arrays["true_scale"],
    )


def _load(source: ClipSource, index: int, config: PeopleConfig, degrade: bool, rng: np.random.Generator) -> ClipArrays:
    size = None if config.long_side is None else fit_long_side(source.size(index), config.long_side)
    arrays = source.load(index, rng, num_frames=config.num_frames, size=size, max_stride=config.max_stride)
    if degrade:
        arrays = {**arrays, "images": degrade_images(arrays["images"], rng)}
    return arrays


def fingerprint_frozen(model: UniSH) -> str:
    """sha256 of the scene and human branches, whose answers are cached."""
    return hash_weights(model.scene, model.human, settings=str((model.config.scene, model.config.human)))


def hash_weights(*parts: nn.Module, settings: str = "") -> str:
    """The first 16 digits of the sha256 of all weights, and of what else decides their answers."""
    digest = hashlib.sha256(settings.encode())
    for part in parts:
        for value in part.state_dict().values():
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _list_pieces(source: ClipSource, total: int) -> list[range]:
    """Runs of clips of one size, at most ``_CLIPS_PER_PIECE`` long."""
    pieces: list[range] = []
    for index in range(total):
        last = pieces[-1] if pieces else None
        if last is not None and len(last) < _CLIPS_PER_PIECE and source.size(index) == source.size(last.start):
            pieces[-1] = range(last.start, index + 1)
        else:
            pieces.append(range(index, index + 1))
    return pieces


def _check_notes(path: Path, notes: dict[str, str]) -> None:
    try:
        with safe_open(path, framework="pt") as piece:
            held = piece.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path}: broken ({error}); delete it") from None
    if held != notes:
        raise InputError(f"{path}: described by other weights or with other settings; delete {path.parent}")
