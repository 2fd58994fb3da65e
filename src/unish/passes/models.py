"""What a run works with beside the video: a network, a body, and what finds people. Loaded once for many runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unish.body import Body, load_body
from unish.errors import InputError
from unish.network import PersonFeatures, UniSH, UniSHConfig
from unish.passes.experts import Experts, find_experts, name_experts
from unish.people import FAST_PEOPLE, ObservationLog, PeopleChoice, PeopleConfig, PeopleModels, find_people, read_tracks
from unish.people.experts import PeopleExperts
from unish.settings import Settings
from unish.structs import Clip, HumanInputs, Landmarks, Prediction, Tracks
from unish.structs.progress import Progress

PeopleFinder = Callable[[Clip, tuple[int, int]], tuple[Tracks, Landmarks]]
"""(clip, (height, width) of the masks) → people in clip pixels: what takes the place of the built-in people stage."""


@runtime_checkable
class Network(Protocol):
    """What the pipeline asks of a network; ``UniSH`` is one."""

    config: UniSHConfig

    @property
    def device(self) -> torch.device: ...

    @property
    def fingerprint(self) -> str: ...

    def __call__(
        self,
        images: Float[Tensor, "B N 3 H W"],
        humans: HumanInputs | None,
        timestamps: Float[Tensor, "B N"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
        people_masks: Int[Tensor, "B N H W"] | None = None,
        usable: Bool[Tensor, "B N H W"] | None = None,
    ) -> Prediction:
        """See ``UniSH.forward``."""
        ...


@runtime_checkable
class ReadsPeople(Protocol):
    """A network that can also read people where it does not see the scene; ``UniSH`` is one."""

    config: UniSHConfig

    @property
    def device(self) -> torch.device: ...

    def read_people(
        self, humans: HumanInputs, timestamps: Float[Tensor, "B N"], intrinsics: Float[Tensor, "B N 3 3"]
    ) -> tuple[Float[Tensor, "B P N 24 3 3"], Float[Tensor, "B P 10"]]:
        """See ``UniSH.read_people``."""
        ...


class Models:
    """Loads what is asked for, once; from several threads, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._networks: dict[tuple[str, str], Network] = {}
        self._bodies: dict[str, Body] = {}
        self._experts: dict[tuple[str, ...], Experts] = {}
        self._of_thread = threading.local()

    def network(self, name: str, device: str, *, fast: bool = False) -> Network:
        """The weights of that name, ready on that device.

        Args:
            fast: views are compared less closely (see ``fast_views``).

        Raises:
            InputError: there are no such weights, or no such device.
        """
        with self._lock:
            key = (name, choose_device(device))
            if key not in self._networks:
                self._networks[key] = UniSH.from_pretrained(name, device=key[1]).eval()
            network = self._networks[key]
            return network.in_a_hurry() if fast and isinstance(network, UniSH) else network

    def body(self, name: str) -> Body:
        """``free``, or the licensed model at that path."""
        with self._lock:
            if name not in self._bodies:
                self._bodies[name] = load_body(name)
            return self._bodies[name]

    def people_finder(
        self, settings: Settings, log: ObservationLog | None = None, progress: Progress | None = None
    ) -> PeopleFinder:
        """Nobody when ``settings.people`` is 0, the user's own tracks, or the built-in people stage."""
        if settings.people == 0:
            return find_nobody
        experts = self.experts(settings).people
        choice = PeopleChoice(boxes=settings.person_box, points=settings.person_at, ids=settings.person_id)
        if settings.tracks is not None:
            tracks = settings.tracks
            return lambda clip, size: read_tracks(
                tracks, clip, mask_size=size, choice=choice, progress=progress, segmenter=experts.segmenter,
                models=None if experts.keypoints is None else experts.pose_models(PeopleConfig(), progress),
            )  # fmt: skip
        config = PeopleConfig(max_people=settings.people, num_threads=min(2, torch.get_num_threads()))
        if settings.fast:
            config = replace(config, **FAST_PEOPLE)
        return lambda clip, size: find_people(
            clip,
            mask_size=size,
            config=config,
            models=self._people_models(config, experts, progress),
            segmenter=experts.segmenter,
            choice=choice,
            log=log,
            progress=progress,
        )

    def experts(self, settings: Settings) -> Experts:
        """What the user has put into the slots of the depth prior and of the people stage.

        Raises:
            InputError: a model is not there, or lacks the package that it needs.
        """
        with self._lock:
            key = (*name_experts(settings), choose_device(settings.device))
            if key not in self._experts:
                self._experts[key] = find_experts(settings, key[-1])
            return self._experts[key]

    def _people_models(self, config: PeopleConfig, experts: PeopleExperts, progress: Progress | None) -> PeopleModels:
        """Of this thread alone: their interpreters can read one picture at a time."""
        known: dict[tuple[PeopleConfig, str], PeopleModels] = self._of_thread.__dict__.setdefault("people", {})
        key = (config, experts.fingerprint)
        if key not in known:
            known[key] = replace(experts.people_models(config, progress), features=PersonFeatures())
        return known[key]


def choose_device(wanted: str) -> str:
    """The name of a device that is there.

    Raises:
        InputError: it is not.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        # MPS has to be asked for: it has no float64, in which the cameras and bodies of a clip are solved.
        return "cuda" if present["cuda"] else "cpu"
    if not present.get(wanted, True):
        raise InputError(f"--device {wanted}: no {wanted.upper()} device was found; use --device cpu")
    return wanted


def find_nobody(clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
    """A ``PeopleFinder`` that does not look."""
    from unish.structs import FrameArray

    num_frames = clip.num_frames
    tracks = Tracks(
        person_ids=torch.zeros(0, dtype=torch.int64),
        valid=torch.zeros(0, num_frames, dtype=torch.bool),
        boxes_xyxy=torch.zeros(0, num_frames, 4),
        masks=FrameArray((num_frames, *size), torch.int16, lambda frame: torch.full(size, -1, dtype=torch.int16)),
    )
    nothing = torch.zeros(0, num_frames, 33, 3)
    return tracks, Landmarks(px=nothing, world=nothing, score=torch.zeros(0, num_frames))
