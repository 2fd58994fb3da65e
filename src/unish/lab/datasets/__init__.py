"""Real and synthetic datasets behind one interface: ``ClipSource``."""

from unish.lab.datasets.kinds import names_source, open_source
from unish.lab.datasets.live import LiveClips
from unish.lab.datasets.mixture import MixedSource
from unish.lab.datasets.shards import ShardClips
from unish.lab.datasets.source import CLIP_ARRAYS, ClipArrays, ClipSource, ClipStream, SourceNotes

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
