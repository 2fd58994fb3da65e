"""Datasets by name: what a command line, a recipe or a mixture file can say."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unish.errors import InputError
from unish.lab.datasets.bedlam import open_bedlam
from unish.lab.datasets.depth_folder import open_depth_folder
from unish.lab.datasets.live import LiveClips
from unish.lab.datasets.mixture import MixedSource
from unish.lab.datasets.rgbd_sequence import open_seven_scenes, open_tum
from unish.lab.datasets.shards import ShardClips
from unish.lab.datasets.source import ClipSource
from unish.lab.datasets.video_folder import VideoConfig, open_video_folder
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.shards import ShardConfig

LIVE_SHARDS = ShardConfig(clips_per_shard=16, clip=SynthConfig(num_frames=6, fps=None, samples=1))
"""What ``live`` renders unless it is told otherwise."""


def _open_live(
    place: str,
    *,
    steps_per_window: int = 8,
    clips_per_shard: int = LIVE_SHARDS.clips_per_shard,
    sizes: list[list[int]] | None = None,
    clip: Mapping[str, Any] | None = None,
) -> LiveClips:
    """``place`` is the seed; ``clip`` are fields of ``SynthConfig``."""
    if not place.isdigit():
        raise InputError(f"live:{place} needs a whole number, the seed of its clips, as in live:1")
    chosen = LIVE_SHARDS.sizes if sizes is None else tuple((int(height), int(width)) for height, width in sizes)
    config = ShardConfig(sizes=chosen, clips_per_shard=clips_per_shard, clip=replace(LIVE_SHARDS.clip, **(clip or {})))
    return LiveClips(config, seed=int(place), steps_per_window=steps_per_window)


def _open_shards(place: str) -> ClipSource:
    return ShardClips(Path(place))


def _open_videos(place: str, *, cache: str | None = None, **settings: Any) -> ClipSource:
    """``settings`` are fields of ``VideoConfig``."""
    return open_video_folder(Path(place), VideoConfig(**settings), cache=Path(cache) if cache else None)


def _open_bedlam(
    place: str, *, labels: str | None = None, body: str | None = None, every: int = 5, stretch: int = 30
) -> ClipSource:
    folder = Path(labels) if labels else None
    return open_bedlam(Path(place), labels=folder, body=body, every=every, stretch=stretch)


def _open_seven_scenes(place: str, **options: Any) -> ClipSource:
    return open_seven_scenes(Path(place), **options)


def _open_tum(place: str, **options: Any) -> ClipSource:
    return open_tum(Path(place), **options)


def _open_depth_folder(place: str, **options: Any) -> ClipSource:
    return open_depth_folder(Path(place), **options)


KINDS: dict[str, Callable[..., ClipSource]] = {
    "shards": _open_shards,
    "live": _open_live,
    "bedlam": _open_bedlam,
    "videos": _open_videos,
    "7scenes": _open_seven_scenes,
    "tum": _open_tum,
    "depth": _open_depth_folder,
}
"""(place, options) → source. A dataset of one's own takes a line here."""


def names_source(name: str | Path) -> bool:
    """Is this ``KIND:PLACE`` or a mixture file? Anything else is a folder of shards."""
    kind, colon, _ = str(name).partition(":")
    return (bool(colon) and kind in KINDS) or str(name).endswith(".toml")


def open_source(name: str | Path) -> ClipSource:
    """A dataset by name.

    Args:
        name: ``KIND:PLACE`` with a kind of ``KINDS`` (``7scenes:data/chess``, ``live:1``), a folder of training shards,
            or a ``.toml`` file with a table ``[[source]]`` for each part of a mixture: ``kind``, ``place``, ``weight``
            (1 unless given), and options of the kind by their names. Relative places and paths count from where
            the command runs.

    Raises:
        InputError: an unknown kind or option, a file that cannot be read, or no data there.
    """
    text = str(name)
    if text.endswith(".toml"):
        return _open_mixture(Path(text))
    kind, colon, place = text.partition(":")
    if colon and kind in KINDS:
        return _open_kind(kind, place, {})
    return ShardClips(Path(text))


def _open_kind(kind: str, place: str, options: Mapping[str, Any]) -> ClipSource:
    if kind not in KINDS:
        raise InputError(f"no kind of dataset is called {kind!r}; there are: {', '.join(KINDS)}")
    try:
        inspect.signature(KINDS[kind]).bind(place, **options)
        return KINDS[kind](place, **options)
    except TypeError as error:
        raise InputError(f"{kind}:{place}: {error}; see docs/data.md for its options") from None


def _open_mixture(path: Path) -> ClipSource:
    try:
        tables = tomllib.loads(path.read_text()).get("source")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable TOML file ({error}); see docs/data.md for an example") from None
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: has no [[source]] tables; see docs/data.md for an example")
    parts, weights = [], []
    for table in tables:
        options = dict(table)
        kind, place = str(options.pop("kind", "shards")), str(options.pop("place", ""))
        weights.append(float(options.pop("weight", 1.0)))
        parts.append(_open_kind(kind, place, options))
    return MixedSource(parts, weights)
