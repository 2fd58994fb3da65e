"""The published training in its sizes: π³ scene branch, ViT-H human branch, BEDLAM, then a folder of videos.

Not run by us: it wants weights and data that others license, and a cluster. The tests run it in miniature.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unish.errors import InputError
from unish.lab.training.stages.localise import LocaliseStage, train_localise_stage
from unish.network import UniSH
from unish.network.config import UniSHConfig
from unish.network.initialisation import initialise_backbone, initialise_scene


@dataclass(frozen=True, kw_only=True)
class PaperPlan:
    """Rows of the published training after the scene branch.

    Attributes:
        scene_weights, backbone_weights: files of the data folder, see ``unish.network.initialisation``; ``None`` starts
            from random numbers.
        coarse_data, fine_data: names for ``open_source``; ``{data}`` stands for the data folder.
    """

    config: UniSHConfig
    coarse: LocaliseStage
    fine: LocaliseStage
    scene_weights: str | None = "pi3.safetensors"
    backbone_weights: str | None = "vitpose.pth"
    coarse_data: str = "bedlam:{data}/bedlam"
    fine_data: str = "videos:{data}/videos"


def run_paper_plan(plan: PaperPlan, run_dir: Path, *, data: Path, resume: bool, minutes: float | None) -> UniSH:
    """Coarse, then fine, then ``checkpoint``. The tokens of 30 frames are too many to keep: clips are described live.

    Raises:
        InputError: a file of weights is missing, or a dataset.
    """
    network = UniSH(plan.config)
    for name, initialise in ((plan.scene_weights, initialise_scene), (plan.backbone_weights, initialise_backbone)):
        if name is not None:
            if not (data / name).is_file():
                raise InputError(f"{data / name}: missing; docs/training.md says what the recipe paper needs where")
            initialise(network, data / name)
    for stage, source in ((plan.coarse, plan.coarse_data), (plan.fine, plan.fine_data)):
        train_localise_stage(
            stage, network, run_dir / stage.name, data=Path(source.format(data=data)), resume=resume, live=True,
            minutes=None if minutes is None else minutes / 2,
        )  # fmt: skip
    network.save_pretrained(run_dir / "checkpoint")
    return network
