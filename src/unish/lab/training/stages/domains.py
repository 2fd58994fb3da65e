"""Synthetic worlds of clips with people: the one that coarse learns in, a strange one that fine adapts to, close ones.

They differ in seed, places, lenses, distances, camera heights and clothes; besides, pictures of the strange world are
degraded further (``degrade``). What differs was fixed before anything was measured on it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from unish.errors import InputError
from unish.io import written_beside
from unish.lab.datasets import ClipSource, ShardClips, names_source, open_source
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.shards import ShardConfig, write_shards
from unish.structs.progress import Progress

_SIZES = ((112, 160), (160, 112), (128, 160), (160, 128))
_CLIP = SynthConfig(num_frames=6, fps=None, samples=1, min_people=1, max_people=2)
HELD_BACK = 10_000
"""Shards from this number on are never trained on."""
MARKER = "world.json"
"""File of a folder that a world was rendered into."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A world of clips.

    Attributes:
        seed: of everything in it.
        places: shard s shows place s modulo their number.
        clip: what its clips look like.
        degrade: worsen the pictures further (exposure, colours, textures, blur, noise, JPEG) when they are used.
        exact_depth: see ``ShardConfig``; for what looks at surfaces closely.
    """

    seed: int
    places: tuple[str, ...]
    clip: SynthConfig
    degrade: bool
    sizes: tuple[tuple[int, int], ...] = _SIZES
    clips_per_shard: int = 16
    exact_depth: bool = False

    def open(
        self, folder: Path, num_clips: int, *, held_back: bool = False, progress: Progress | None = None
    ) -> ShardClips:
        """The first ``num_clips`` clips (or a few more, shards are whole), rendered into ``folder`` where missing.

        Raises:
            InputError: the folder holds another world.
        """
        self._mark(folder)
        first = HELD_BACK if held_back else 0
        num_shards = -(-num_clips // self.clips_per_shard)
        for shard in range(first, first + num_shards):
            place = self.places[shard % len(self.places)]
            config = ShardConfig(
                # write_shards would tie the size to the number of the shard, as the place is tied already.
                sizes=(self.sizes[(shard // len(self.places)) % len(self.sizes)],),
                clips_per_shard=self.clips_per_shard,
                clip=replace(self.clip, place=place),
                exact_depth=self.exact_depth,
            )
            write_shards(folder, num_shards=1, first=shard, seed=self.seed, config=config)
            if progress is not None:
                progress("shards", shard - first + 1, num_shards)
        return ShardClips(folder)

    def _mark(self, folder: Path) -> None:
        """Say in the folder whose clips it holds."""
        marker, content = folder / MARKER, json.dumps(asdict(self))
        if not marker.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with written_beside(marker) as beside:
                beside.write_text(content)
        elif marker.read_text() != content:
            raise InputError(
                f"{folder} holds clips of another world; choose another folder, or name it shards:{folder}"
            )


def open_clips(world: Domain, num_clips: int, data: Path, progress: Progress | None = None) -> tuple[ClipSource, bool]:
    """Clips by the name of their data, and whether their pictures are to be degraded.

    Args:
        data: a name that ``open_source`` knows, a folder of shards, or a folder to render ``world`` into.
    """
    is_foreign = any(data.glob("*.safetensors")) and not (data / MARKER).exists()
    if names_source(data) or is_foreign:
        return open_source(data), False
    return world.open(data, num_clips, progress=progress), world.degrade


COARSE_WORLD = Domain(
    seed=11,
    places=("room", "hall", "corridor", "courtyard"),
    clip=replace(_CLIP, clothes=False, lenses=("phone",), heights=("eye", "chest", "seated", "hip"), fill=(0.4, 1.3)),
    degrade=False,
)
STRANGE_WORLD = Domain(
    seed=12,
    places=("open", "street", "stairs"),
    clip=replace(
        _CLIP, clothes=True, lenses=("tele", "webcam", "action"), heights=("low", "raised", "eye"), fill=(0.22, 0.6)
    ),
    degrade=True,
)

# People at twice the size at which ``small`` looks at them: its own pixels hide what an expert sees in a crop.
_CLOSE_SIZES = ((320, 224), (224, 320), (320, 256), (256, 320))
_CLOSE_UP = replace(_CLIP, num_frames=3, clothes=True)
EXPERT_WORLD = Domain(
    seed=13,
    places=("room", "hall", "corridor", "courtyard"),
    clip=replace(_CLOSE_UP, lenses=("phone",), fill=(0.6, 1.8)),
    degrade=True,
    sizes=_CLOSE_SIZES,
    exact_depth=True,
)
"""Close pictures of dressed people, for experts that look at crops."""
DISTILL_WORLD = Domain(
    seed=14,
    places=STRANGE_WORLD.places,
    clip=replace(_CLOSE_UP, lenses=("tele", "webcam"), heights=("low", "raised", "eye"), fill=(0.8, 1.4)),
    degrade=True,
    sizes=_CLOSE_SIZES,
    exact_depth=True,
)
"""Where the surface of people is refined: places, lenses and heights that neither small nor the expert learnt from."""
