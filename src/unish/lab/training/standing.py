"""The standing run: trains the shipped weights further, piece by piece, and replaces them only by better ones.

A run folder holds

    state.json     settings, pieces that ended, evaluations
    shards/        clips of today's world, rendered by the first piece (unless other data is given)
    depth/ …       a run of the trainer for each stage
    candidate/     the weights of now, as ``UniSH.from_pretrained`` reads them
    quality/       dashboards of ``shipped`` and ``candidate``

What may be lost by a kill at any moment is what came after a stage's last checkpoint. A run ends with its time; the
next one starts in another folder, from what ships then.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from unish.errors import InputError
from unish.io import write_json
from unish.lab.evaluation.quality import Dashboard, is_better, measure_dashboard
from unish.lab.training.interpolation import interpolate
from unish.lab.training.stages.localise import LocaliseStage, train_localise_stage
from unish.lab.training.stages.plan import Plan, take_part
from unish.lab.training.stages.scene import SceneMix, SceneStage, open_scene_data, run_scene_stage
from unish.lab.training.trainer import load_run_weights, read_progress
from unish.network import UniSH
from unish.network.small_scene import SmallScene
from unish.structs.progress import Progress

_ALIGN_SHARE = 0.1
"""Of the time, for each of the two stages of AlignNet, where all stages are asked for."""

_NUM_BENCHMARKS = 2
"""Of a whole dashboard: labelled samples, and clips without truth."""


@dataclass(frozen=True, kw_only=True)
class StandingSettings:
    """What must not change between the pieces of a run.

    Attributes:
        minutes: of training in all; the learning rates fall to the end of it.
        shards: to render, the same number of each kind of the plan's mix.
        data: see ``open_scene_data``; ``None`` for ``shards/`` in the run folder.
        stages: names of those of the plan that train, of the scene branch and of AlignNet.
        share: of the way from the shipped scene branch to the trained one, where the candidate lies (``interpolate``).
            Stages after the first learn beside what was trained whole.
    """

    minutes: float = 40.0
    shards: int = 120
    data: str | None = None
    stages: tuple[str, ...] = ("depth",)
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.shards < 1:
            raise InputError(f"minutes={self.minutes:g}, shards={self.shards}: both must be above 0")
        if not 0 < self.share <= 1:
            raise InputError(f"share={self.share:g}: must be above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Dashboards of the shipped weights and of the candidate, and what ``is_better`` says of them."""

    before: Dashboard
    after: Dashboard
    better: bool


@dataclass(kw_only=True)
class StandingRun:
    """A run folder and the weights that it starts from and may replace; ``open_run`` makes one.

    Attributes:
        plan: stages, mix and the kind of network; its numbers of steps end a stage, too.
        weights: folder of the weights, as ``UniSH.save_pretrained`` writes it.
        pieces, evaluations: what the state file tells of earlier calls.
    """

    folder: Path
    plan: Plan
    weights: Path
    settings: StandingSettings
    pieces: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)

    def train(self, *, minutes: float) -> None:
        """One piece: the first stage that has time left, and those after it, for ``minutes`` in all.

        Rendering of clips comes before, beside that time.

        Raises:
            InputError: the run has used all its time, or its data cannot be used.
        """
        waiting = self.stages_left()
        if not waiting:
            raise InputError(f"{self.folder}: its {self.settings.minutes:g} minutes are over; begin another run")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._save_state()
        data = Path(self.settings.data) if self.settings.data else self.folder / "shards"
        kinds = len(self.plan.mix.kinds)
        mix = replace(self.plan.mix, num_shards=-(-self.settings.shards // kinds))
        open_scene_data(data, mix)
        network = UniSH.from_pretrained(self.weights)
        began, started = datetime.now(UTC), time.monotonic()
        for stage in self._stages():
            if stage.name not in waiting:  # loads its weights, which is not training
                self._train_stage(stage, network, data, mix, piece_minutes=minutes)
                started = time.monotonic()
            elif (left := minutes - (time.monotonic() - started) / 60) > 0:
                self._train_stage(stage, network, data, mix, piece_minutes=left)
        self.pieces.append(
            {
                "began": began.isoformat(timespec="seconds"),
                "minutes": round((time.monotonic() - started) / 60, 2),
                "device": str(network.device),
                "steps": {name: steps for name, (steps, _) in self.progress().items()},
            }
        )
        self._save_state()

    def _train_stage(
        self, stage: SceneStage | LocaliseStage, network: UniSH, data: Path, mix: SceneMix, *, piece_minutes: float
    ) -> None:
        """Train a part of ``network`` in place; a stage that is over only loads its weights."""
        fit = replace(stage.fit, piece_minutes=piece_minutes, device="auto")
        place, minutes = self.folder / stage.name, self._budget(stage)
        if isinstance(stage, SceneStage):
            assert isinstance(network.scene, SmallScene)
            stage = replace(stage, fit=fit)
            run_scene_stage(network.scene, stage, mix, place, data=data, resume=True, minutes=minutes)
        else:
            clips = self.folder / f"{stage.name}-clips"
            network.to(network.device)  # the scene branch may have gone to a GPU
            train_localise_stage(replace(stage, fit=fit), network, place, data=clips, resume=True, minutes=minutes)

    def _stages(self) -> tuple[SceneStage | LocaliseStage, ...]:
        return tuple(stage for stage in list_stages(self.plan) if stage.name in self.settings.stages)

    def _budget(self, stage: SceneStage | LocaliseStage) -> float:
        return self.settings.minutes * _share(stage) / sum(_share(each) for each in self._stages())

    def progress(self) -> dict[str, tuple[int, float]]:
        """Steps and minutes of every stage up to its last checkpoint."""
        found = {stage.name: read_progress(self.folder / stage.name) for stage in self._stages()}
        return {name: (steps, seconds / 60) for name, (steps, seconds) in found.items()}

    def stages_left(self) -> dict[str, float]:
        """Minutes that are left, of every stage that is not over."""
        done, left = self.progress(), {}
        for stage in self._stages():
            steps, minutes = done[stage.name]
            if steps < stage.fit.steps and minutes < self._budget(stage):
                left[stage.name] = self._budget(stage) - minutes
        return left

    def build_candidate(self) -> Path:
        """The shipped weights with what the run has trained so far (averaged) in place of their own; a folder.

        Raises:
            InputError: no piece has left a checkpoint yet.
        """
        trained = [stage for stage in self._stages() if read_progress(self.folder / stage.name)[0]]
        if not trained:
            raise InputError(f"{self.folder}: nothing is trained yet; run a piece first")
        network = UniSH.from_pretrained(self.weights)
        shipped = {name: value.clone() for name, value in network.scene.state_dict().items()}
        for stage in trained:
            weights = load_run_weights(self.folder / stage.name)
            if isinstance(stage, SceneStage):
                network.scene.load_state_dict(interpolate(shipped, weights, self.settings.share))
            else:
                network.align.load_state_dict(take_part(weights, "align."))
        candidate = self.folder / "candidate"
        network.save_pretrained(candidate, dtype=torch.float16)
        return candidate

    def compare(self, media: Path, *, workers: int = 1, progress: Progress | None = None) -> Comparison:
        """Measure the candidate and the shipped weights; what was measured before by the same code is kept.

        Args:
            media: see ``measure_dashboard``.
        """
        measured = []
        for name, weights in (("shipped", self.weights), ("candidate", self.build_candidate())):
            out = self.folder / "quality" / name
            out.mkdir(parents=True, exist_ok=True)
            measured.append(measure_dashboard(media, method=str(weights), out=out, workers=workers, progress=progress))
        before, after = measured
        found = Comparison(before=before, after=after, better=is_better(before, after))
        self.evaluations.append(
            {
                "steps": {name: steps for name, (steps, _) in self.progress().items()},
                "shipped": before.header["fingerprint"],
                "candidate": after.header["fingerprint"],
                "better": found.better,
                "installed": False,
            }
        )
        self._save_state()
        return found

    def install(self, found: Comparison) -> bool:
        """Put the compared candidate in the place of the shipped weights if it is better; whether it was.

        Raises:
            InputError: it was measured on the labelled samples or on the clips alone.
        """
        if not found.better:
            return False
        if len(found.before.header["sequences"]) < _NUM_BENCHMARKS:
            raise InputError(f"measured on {', '.join(found.before.header['sequences'])} alone; give all of the media")
        UniSH.from_pretrained(self.folder / "candidate").save_pretrained(self.weights, dtype=torch.float16)
        self.evaluations[-1]["installed"] = True
        self._save_state()
        return True

    def _save_state(self) -> None:
        state = {"settings": asdict(self.settings), "pieces": self.pieces, "evaluations": self.evaluations}
        write_json(self.folder / "state.json", state, indent=1)


def list_stages(plan: Plan) -> tuple[SceneStage | LocaliseStage, ...]:
    """What a run can train, in its order."""
    return (plan.scene, plan.coarse, plan.fine)


def _share(stage: SceneStage | LocaliseStage) -> float:
    return _ALIGN_SHARE if isinstance(stage, LocaliseStage) else 1 - 2 * _ALIGN_SHARE


def open_run(folder: Path, *, plan: Plan, weights: Path, **wanted: Any) -> StandingRun:
    """A run that goes on, or a new one.

    Args:
        wanted: fields of ``StandingSettings``; ``None`` for what the run has, or the default.

    Raises:
        InputError: a setting differs from that of the run, the plan has no such stage, or the state file is broken.
    """
    path, stored = folder / "state.json", {}
    if path.exists():
        try:
            stored = json.loads(path.read_text())
            stored["settings"].pop("shard_mib", None)  # in runs of before, which also kept their checkpoints in pieces
            settings = StandingSettings(**stored["settings"] | {"stages": tuple(stored["settings"]["stages"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(f"{path}: not the state of a standing run; choose another folder") from None
    else:
        settings = StandingSettings()
    chosen = replace(settings, **{name: value for name, value in wanted.items() if value is not None})
    if stored and chosen != settings:
        changed = ", ".join(name for name, value in asdict(chosen).items() if value != getattr(settings, name))
        raise InputError(f"{folder}: this run has other settings ({changed}); leave them out, or begin another run")
    known = [stage.name for stage in list_stages(plan)]
    if unknown := set(chosen.stages) - set(known):
        raise InputError(f"no stage is called {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return StandingRun(
        folder=folder, plan=plan, weights=weights, settings=chosen,
        pieces=stored.get("pieces", []), evaluations=stored.get("evaluations", []),
    )  # fmt: skip
