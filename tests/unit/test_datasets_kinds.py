"""Datasets by name, and mixtures from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_datasets_depth import write_depth_folder
from test_training_data import make_clips

from clip_checks import assert_keeps_its_promises
from unish.errors import InputError
from unish.lab.datasets import ClipArrays, LiveClips, MixedSource, ShardClips, names_source, open_source
from unish.lab.datasets.kinds import KINDS
from unish.lab.training.data import SceneBatches, SceneDataConfig
from unish.lab.training.recipes import SCENE_MIX
from unish.lab.training.stages.scene import open_scene_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    save_file(make_clips(), tmp_path / "shards" / "shard-000000.safetensors")
    write_depth_folder(tmp_path / "real" / "walk", "npy")
    return tmp_path


def test_names(folder: Path) -> None:
    assert isinstance(open_source(folder / "shards"), ShardClips)
    assert isinstance(open_source(f"shards:{folder / 'shards'}"), ShardClips)
    assert open_source(f"depth:{folder / 'real'}").describe().name == "depth folder real"
    live = open_source("live:5")
    assert isinstance(live, LiveClips) and live.seed == 5
    for kind in KINDS:
        assert names_source(f"{kind}:somewhere")
    assert names_source("mix.toml") and not names_source(folder) and not names_source("C:somewhere")


def test_a_mixture_file(folder: Path) -> None:
    path = folder / "mix.toml"
    path.write_text(f"""
        [[source]]
        place = "{folder / "shards"}"
        weight = 3

        [[source]]
        kind = "depth"
        place = "{folder / "real"}"
        stretch = 4

        [[source]]
        kind = "live"
        place = "7"
        sizes = [[48, 64]]
        clip = {{ place = "room", max_people = 0, num_frames = 4 }}
        """)
    source = open_source(path)
    assert isinstance(source, MixedSource) and source.shares == (0.6, 0.2, 0.2)
    assert len(source.parts[1]) == 2  # 9 frames in stretches of about 4
    live = source.parts[2]
    assert isinstance(live, LiveClips) and live.seed == 7 and live.config.clip.place == "room"
    assert live.config.sizes == ((48, 64),) and live.config.clips_per_shard == 16
    batch = SceneBatches(
        MixedSource(source.parts[:2]), SceneDataConfig(num_clips=4, num_frames=3, long_sides=(64,), first=0, last=20)
    )(0)
    assert batch.depth.shape == (4, 3, 48, 64) and bool((batch.depth > 0).any())


def test_the_recipe_takes_names_and_its_own_live_clips(folder: Path) -> None:
    live = open_scene_data(Path("live"), SCENE_MIX)
    assert isinstance(live, MixedSource) and all(isinstance(part, LiveClips) for part in live.parts)
    assert isinstance(open_scene_data(folder / "shards", SCENE_MIX), ShardClips)
    assert len(open_scene_data(Path(f"depth:{folder / 'real'}"), SCENE_MIX)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[source]]\nkind = "nonsense"', "7scenes"),
        ('[[source]]\nkind = "tum"\nplace = "x"\ncolour = 3', "colour"),
        ('[[source]]\nkind = "live"\nplace = "one"', "live:1"),
        ('[[source]]\nkind = "videos"\nplace = "x"\nheight = 3', "height"),
        ("source = 3", r"\[\[source\]\]"),
        ("[[source", "TOML"),
        ("", r"\[\[source\]\]"),
    ],
)
def test_bad_mixtures_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mix.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        open_source(path)
    assert "\n" not in str(error.value)


def test_no_shards_under_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training shards"):
        open_source(f"shards:{tmp_path}")
    with pytest.raises(InputError, match="TOML"):
        open_source(tmp_path / "none.toml")


def test_the_dataset_of_the_documentation(repository: Path) -> None:
    """The class of docs/data.md is a source as it stands there."""
    text = (repository / "docs" / "data.md").read_text().split("### A dataset of your own")[1]
    code = text.split("```python")[1].split("```")[0]

    def read_my_frames(index: int, frames: np.ndarray) -> ClipArrays:
        count = len(frames)
        return {
            "images": np.zeros((count, 480, 640, 3), np.uint8),
            "depth": np.ones((count, 480, 640), np.float32),
            "intrinsics": np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
            "c2w": np.tile(np.eye(4, dtype=np.float32), (count, 1, 1)),
        }

    names = {"read_my_frames": read_my_frames}
    exec(code, names)
    source = names["MyClips"]()
    assert_keeps_its_promises(source, 3)
    assert SceneBatches(source, SceneDataConfig(num_clips=2), seed=0)(0).images.shape[:2] == (2, 4)
