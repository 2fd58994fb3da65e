"""Real and synthetic datasets behind one interface: ``ClipSource``."""

from unish.datasets.kinds import names_source, open_source
from unish.datasets.live import LiveClips
from unish.datasets.mixture import MixedSource
from unish.datasets.shards import ShardClips
from unish.datasets.source import CLIP_ARRAYS, ClipArrays, ClipSource, ClipStream, SourceNotes

__all__ = [
    "CLIP_ARRAYS",
    "ClipArrays",
    "ClipSource",
    "ClipStream",
    "LiveClips",
    "MixedSource",
    "ShardClips",
    "SourceNotes",
    "names_source",
    "open_source",
]
