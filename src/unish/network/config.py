"""Configuration of the whole network: presets, and JSON beside the weights.

Every part's own configuration stands next to the part; here they are put together. The slots ``scene`` and ``human``
hold one of several branches, told apart in JSON by ``kind``.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from unish.errors import InputError
from unish.network.align_net import AlignNetConfig
from unish.network.decoder import DecoderConfig
from unish.network.human.crop_branch import CropBranchConfig
from unish.network.human.landmark_branch import LandmarkBranchConfig
from unish.network.release_scene import ReleaseSceneConfig
from unish.network.small_scene import SmallSceneConfig
from unish.network.view_config import ViewSolverConfig

SceneConfig = ReleaseSceneConfig | SmallSceneConfig
HumanConfig = CropBranchConfig | LandmarkBranchConfig

_KINDS: dict[str, type] = {
    "release": ReleaseSceneConfig,
    "small": SmallSceneConfig,
    "crop": CropBranchConfig,
    "landmark": LandmarkBranchConfig,
}


@dataclass(frozen=True, kw_only=True)
class UniSHConfig:
    """Which branches a network has and how large they are.

    Attributes:
        name: preset, or what its maker called it.
        body: name of the body model that ``betas`` belong to.
        long_side: of the images it is usually given, pixels.
        multiple: of which both sides of the images are a multiple.
        views: how cameras and depth of a clip are solved after the scene branch; ``None`` leaves them as they are.
    """

    name: str = "release"
    body: str = "smpl"
    long_side: int = 518
    multiple: int = 14
    scene: SceneConfig = field(default_factory=ReleaseSceneConfig)
    human: HumanConfig = field(default_factory=CropBranchConfig)
    align: AlignNetConfig = field(default_factory=AlignNetConfig)
    views: ViewSolverConfig | None = None

    def __post_init__(self) -> None:
        patch = self.scene.encoder.patch_size if isinstance(self.scene, ReleaseSceneConfig) else 1
        if self.multiple % patch:
            raise ValueError(f"multiple {self.multiple} must be one of encoder.patch_size {patch}")

    @property
    def predicts_camera(self) -> bool:
        """Whether the scene branch predicts the intrinsics; else they are solved from its points."""
        return isinstance(self.scene, SmallSceneConfig)

    @property
    def takes_cameras(self) -> bool:
        """Whether known cameras can be told to it."""
        return self.views is not None

    @property
    def reads_crops(self) -> bool:
        """Whether the human branch reads crops of people (else landmarks)."""
        return isinstance(self.human, CropBranchConfig)

    def to_json(self) -> str:
        """Indented JSON, every value spelled out, ``from_json`` gives an equal configuration."""
        return json.dumps(_encode(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> UniSHConfig:
        """Read what ``to_json`` wrote; keys that are left out get their defaults.

        Raises:
            InputError: not JSON, an unknown key, or a value of the wrong type.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"model configuration is not JSON ({error}); use the config.json of the weights") from None
        return _decode(cls, data, "config")


def release_config() -> UniSHConfig:
    """The published network, 1.64 G parameters."""
    return UniSHConfig()


def small_config() -> UniSHConfig:
    """Ours: runs on a CPU, its weights ship with the package."""
    return UniSHConfig(
        name="small",
        body="free",
        long_side=512,
        multiple=16,
        # Depth gets worse at sizes that it was not trained at: on photographs by 5 to 15 % from 160 to 224 pixels.
        scene=SmallSceneConfig(long_side=160),
        human=LandmarkBranchConfig(),
        align=AlignNetConfig(dim=128, num_heads=4, mlp_dim=256, start_from_ruler=True),
        views=ViewSolverConfig(refiner=True),
    )


def tiny_config() -> UniSHConfig:
    """The architecture of ``small`` in a size for tests; there are no weights for it."""
    return UniSHConfig(
        name="tiny",
        body="free",
        long_side=64,
        multiple=16,
        scene=SmallSceneConfig(
            long_side=64,
            decoder=DecoderConfig(dim=32, depth=2, num_heads=2, num_special_tokens=2, layer_scale=None),
            widths=(16, 12, 8),
            row_knots=8,
            photo_side=64,
        ),
        human=LandmarkBranchConfig(dim=32, num_heads=2, stage_depths=(1, 1)),
        align=AlignNetConfig(dim=32, num_heads=2, mlp_dim=32, depth=1, start_from_ruler=True),
    )


PRESETS: dict[str, typing.Callable[[], UniSHConfig]] = {
    "release": release_config,
    "small": small_config,
    "tiny": tiny_config,
}


def _encode(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return list(value) if isinstance(value, tuple) else value
    kinds = [("kind", name) for name, cls in _KINDS.items() if cls is type(value)]
    return dict(kinds) | {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _decode(cls: type, data: Any, where: str) -> Any:
    """A dataclass from a JSON object, strict about names and types."""
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected an object, found {data!r}")
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(data.keys() - names - ({"kind"} if cls in _KINDS.values() else set()))
    if unknown:
        raise InputError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(names))}")
    values = {
        name: _decode_value(hints[name], value, f"{where}.{name}") for name, value in data.items() if name in names
    }
    try:
        return cls(**values)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _decode_value(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    classes = [option for option in options if dataclasses.is_dataclass(option)]
    if value is None and types.NoneType in options:
        return None
    if classes:
        return _decode(_pick_class(classes, value, where), value, where)
    for option in options:
        origin = typing.get_origin(option) or option
        if origin is tuple and isinstance(value, list):
            kinds = typing.get_args(option)
            kinds = kinds[:1] * len(value) if kinds[-1] is ... else kinds
            if len(kinds) == len(value):
                return tuple(
                    _decode_value(*pair, f"{where}[{i}]") for i, pair in enumerate(zip(kinds, value, strict=True))
                )
        if origin is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, origin) and isinstance(value, bool) == (origin is bool):
            return value
    raise InputError(f"{where}: {value!r} is not of type {hint}")


def _pick_class(classes: list[Any], value: Any, where: str) -> type:
    if len(classes) == 1:
        return classes[0]
    known = {name: cls for name, cls in _KINDS.items() if cls in classes}
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in known:
        raise InputError(f"{where}: kind is {kind!r}; known are {', '.join(known)}")
    return known[kind]
