"""Which model stands in a slot that users may fill: the shipped one, another one by name, or weights in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from unish.errors import InputError
from unish.values import shorten

MOGE_WEIGHTS = "Ruicheng/moge-2-vitl"

DEPTH_PRIORS: Mapping[str, str | None] = MappingProxyType(
    {
        "fastdepth": None,
        "depth-anything-v2": "depth-anything/Depth-Anything-V2-Small-hf",
        "depth-anything-3": "depth-anything/DA3METRIC-LARGE",
        "moge-2": MOGE_WEIGHTS,
        "files": None,
    }
)
"""Names of depth priors, and the weights that each takes where none are given. The first one ships with the package."""

PEOPLE_DETECTORS: Mapping[str, str | None] = MappingProxyType(
    {"yolo": None, "rt-detr": "PekingU/rtdetr_r50vd_coco_o365"}
)
KEYPOINTS: Mapping[str, str | None] = MappingProxyType(
    {"movenet": None, "vitpose": "usyd-community/vitpose-base-simple"}
)
MASKS: Mapping[str, str | None] = MappingProxyType({"blazepose": None, "sam2": "facebook/sam2.1-hiera-tiny"})


@dataclass(frozen=True, kw_only=True)
class Expert:
    """A model for a slot.

    Attributes:
        kind: one of the names of the slot.
        weights: folder, or ``OWNER/NAME[@REVISION]`` of the Hugging Face hub; ``None`` for what ships with the package.
    """

    kind: str
    weights: str | None


def read_expert(slot: str, given: object, kinds: Mapping[str, str | None]) -> Expert:
    """What a user writes to fill a slot: ``NAME``, ``NAME:WEIGHTS``, or the path of a folder.

    A folder with a ``config.json`` holds weights of the first of ``kinds`` that has any; one without holds depth maps,
    where the slot takes these.

    Args:
        slot: what it is called in messages.
        kinds: names that the slot knows, with their usual weights; the first one needs none.

    Raises:
        InputError: no such name or folder, or weights where there are none to give.
    """
    text = str(given) if isinstance(given, str | Path) else ""
    name, colon, weights = text.partition(":")
    if name in kinds:
        if colon and (not weights or (kinds[name] is None and name != "files")):
            what = "comes with the package and takes no weights" if kinds[name] is None else "is followed by nothing"
            raise InputError(f"{slot} is {shorten(text)}: {name} {what}; leave out what begins with the colon")
        if name == "files" and not weights:
            raise InputError(f"{slot} is files, without a folder; give files:FOLDER")
        return Expert(kind=name, weights=weights or kinds[name])
    if text and Path(text).is_dir():
        with_weights = next(kind for kind, usual in kinds.items() if usual is not None)
        holds_weights = (Path(text) / "config.json").is_file()
        if holds_weights or "files" in kinds:
            return Expert(kind=with_weights if holds_weights else "files", weights=text)
        raise InputError(f"{slot}: {text} holds no config.json; give a folder of weights in the format of transformers")
    names = [*(kind for kind in kinds if kind != "files"), *(["files:FOLDER"] if "files" in kinds else [])]
    shown = shorten(text) if text else shorten(given)
    raise InputError(f"{slot} is {shown}; give {', '.join(names)}, NAME:WEIGHTS, or the folder of its weights")
