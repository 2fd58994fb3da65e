"""Lists of videos: every form, names for the results, and mistakes told with their line."""

from __future__ import annotations

import json
import os
from itertools import chain
from pathlib import Path

import pytest

from unish.batch import Row, choose_shard, read_manifests
from unish.errors import InputError


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    for name in ("b.mp4", "a.MOV", "notes.txt", ".hidden.mp4", "morning/walk.mp4", "evening/walk.mp4", "frames/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def names(rows: list[Row]) -> list[str]:
    return [row.name for row in rows]


def test_a_folder_stands_for_its_videos_and_folders_of_images(videos: Path) -> None:
    assert names(read_manifests([str(videos)])) == ["a", "b", "frames"]


def test_videos_themselves_and_patterns(videos: Path) -> None:
    assert names(read_manifests([str(videos / "b.mp4"), str(videos / "a.MOV")])) == ["b", "a"]
    assert names(read_manifests([str(videos / "*.mp4")])) == ["b"]
    assert names(read_manifests([str(videos / "**" / "walk.mp4")])) == ["evening-walk", "morning-walk"]


def test_a_csv_with_names_and_settings(videos: Path) -> None:
    table = write(videos, "list.csv", "\ufeffinput,name,fps,max-frames\nb.mp4,first,12,\n\nmorning/walk.mp4,,,30\n")
    assert read_manifests([table]) == [
        Row(input=videos / "b.mp4", name="first", settings={"fps": "12"}),
        Row(input=videos / "morning/walk.mp4", name="walk", settings={"max_frames": "30"}),
    ]


def test_jsonl(videos: Path) -> None:
    rows = [{"input": str(videos / "b.mp4"), "intrinsics": [1, 2, 3, 4], "end": None}, {"input": "x", "name": "y"}]
    table = write(videos, "list.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    assert read_manifests([table]) == [
        Row(input=videos / "b.mp4", name="b", settings={"intrinsics": [1, 2, 3, 4]}),
        Row(input=videos / "x", name="y"),
    ]


def test_a_list_of_paths(videos: Path) -> None:
    table = write(videos, "list.txt", "b.mp4\n\nmorning/walk.mp4\nevening/walk.mp4\nhttps://a.org/c.mp4\n")
    rows = read_manifests([table])
    assert names(rows) == ["b", "morning-walk", "evening-walk", "c"]
    assert rows[0].input == videos / "b.mp4" and rows[3].input == Path("https://a.org/c.mp4")


def test_a_folder_and_a_file_beside_the_list(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in a list count from its folder, wherever the command runs."""
    table = write(videos, "list.txt", "b.mp4\n")
    monkeypatch.chdir(videos.parent)
    assert read_manifests([os.path.relpath(table)])[0].input == Path("videos/b.mp4")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "video,fps\nb.mp4,3\n", "no column 'input'"),
        ("a.csv", "input,fps\nb.mp4,3,4\n", "line 2 has more cells"),
        ("a.csv", "input,fps\n,3\n", "line 2 has no input"),
        ("a.csv", 'input,fps\n"b.mp4,3\n', "no csv"),
        ("a.csv", "input,name\nb.mp4,x\na.MOV,X\n", "two results would be called"),
        ("a.csv", "input,name\nb.mp4,../x\n", "cannot be called"),
        ("a.csv", "input,name\nb.mp4,..\n", "cannot be called"),
        ("a.csv", "input,name\nb.mp4," + "n" * 300 + "\n", "too long"),
        ("a.csv", "input\n", "there is no video"),
        ("a.jsonl", '{"input": "b.mp4"}\nb.mp4\n', "line 2 is no JSON object"),
        ("a.jsonl", '{"input": 3}\n', "line 1 has no input"),
        ("a.jsonl", '{"input": "b.mp4", "name": 3}\n', "the name is 3"),
        ("a.txt", "b.mp4\nb.mp4\n", "two results would be called b"),
    ],
)
def test_mistakes(videos: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_manifests([write(videos, name, text)])


def test_a_list_that_is_no_text(videos: Path) -> None:
    (videos / "list.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no UTF-8"):
        read_manifests([str(videos / "list.csv")])
    with pytest.raises(InputError, match="cannot be read"):
        read_manifests([str(videos / "none.csv")])


def test_shards_share_everything_out() -> None:
    parts = [choose_shard(range(10), (index, 3)) for index in (1, 2, 3)]
    assert sorted(chain.from_iterable(parts)) == list(range(10)) and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert choose_shard(range(3), None) == [0, 1, 2]
    with pytest.raises(InputError, match="nothing to do"):
        choose_shard(range(3), (4, 4))
