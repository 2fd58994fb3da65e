"""Parts of ``unish app`` that need no server: options, stages, who is let in, addresses, people of a result."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_record import make_figure, make_record
from unish.app import server
from unish.app.choices import FLAGS, read_options, write_options
from unish.app.guards import LOOPBACK_NAMES, split_host
from unish.app.limits import Limits
from unish.app.people import main, write_people
from unish.app.stages import StageTimes
from unish.cli import build_parser
from unish.cli import main as run_command_line
from unish.errors import InputError
from unish.settings import Settings


def test_options_are_those_of_the_command_line() -> None:
    """What is chosen on the page arrives as the same setting."""
    chosen = {
        "people": 2, "fps": 12.5, "start": 0.5, "end": 3, "max_frames": 40, "focal_35mm": 26, "fill_gaps": 0.4,
        "blur_faces": True,
    }  # fmt: skip
    words = ["reconstruct", "a.mp4", "--out", "b"]
    assert read_options(json.dumps(chosen | {"fov": None})) == chosen
    parsed = build_parser().parse_args([*words, *write_options(chosen)])
    given = {name: getattr(parsed, name) for name in FLAGS if hasattr(parsed, name)}
    assert Settings(**given) == Settings(**chosen)
    assert build_parser().parse_args([*words, *write_options({"fov": 60, "blur_faces": False})]).fov == 60
    assert read_options("") == {} and write_options({}) == []


def test_stages_know_their_time_and_what_is_left() -> None:
    times = StageTimes()

    def tell(stage: str, done: int, total: int | None, now_s: float) -> None:
        times.add({"event": "progress", "stage": stage, "done": done, "total": total}, now_s)

    tell("read video", 0, None, 10.0)
    assert times.describe()[0] | {"left_s": None} == times.describe()[0]
    tell("read video", 25, 100, 15.0)
    assert times.describe() == [{"name": "read video", "done": 25, "total": 100, "seconds": 5.0, "left_s": 15.0}]
    tell("read video", 1, 1, 30.0)  # how a stage says that it has ended
    tell("network", 0, None, 30.0)
    first, second = times.describe()
    assert (first["done"], first["total"], first["left_s"]) == (100, 100, 0.0)
    assert (second["name"], second["left_s"]) == ("network", None)
    times.add({"stage": "network", "done": "x", "total": 3}, 31.0)
    times.add({"stage": "network", "done": 1, "total": "3"}, 31.0)
    assert times.describe()[1] == second


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost:80", "localhost"), ("LocalHost", "localhost"), ("[::1]:8470", "[::1]"), ("[::1]", "[::1]"),
        ("a.b:80:90", "a.b:80"), ("", ""), ("evil.example:x", "evil.example:x"),
    ],
)  # fmt: skip
def test_hosts_are_read_without_their_port(text: str, name: str) -> None:
    assert split_host(text) == name


def test_only_loopback_does_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(server.TOKEN_VARIABLE, raising=False)
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        door = server.make_door(host, ["Lab.Example"])
        assert door.token == "" and door.hosts == {*LOOPBACK_NAMES, "lab.example"} and not door.knows("10.0.0.1")
    doors = [server.make_door(host, []) for host in ("0.0.0.0", "192.168.1.7", "::")]
    assert all(len(door.token) >= 32 and door.knows("10.0.0.1:8470") for door in doors)
    assert len({door.token for door in doors}) == 3
    assert not any(door.knows("evil.example") for door in doors)
    monkeypatch.setenv(server.TOKEN_VARIABLE, "chosen")
    assert server.make_door("127.0.0.1", []).token == "chosen" == server.make_door("0.0.0.0", []).token


def test_an_address_or_a_folder_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn", reason="the extra `app` is not installed")
    ran: list[int] = []

    def run(web_server: object, listener: socket.socket) -> None:
        ran.append(listener.getsockname()[1])
        if len(ran) == 1:
            with pytest.raises(InputError, match="another app uses this folder"):
                server.serve(tmp_path / "work", limits=Limits(), port=0, open_browser=False)

    monkeypatch.setattr(server, "_run", run)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {taken}"):
            server.serve(tmp_path / "work", limits=Limits(), port=taken, open_browser=False)
        monkeypatch.setattr(server, "DEFAULT_PORT", taken)
        server.serve(tmp_path / "work", limits=Limits(), open_browser=False, announce=said.append)
    assert ran[0] != taken and said[0].startswith(f"http://127.0.0.1:{ran[0]}/ is the app")
    assert "token" not in said[0] and str(tmp_path / "work") in said[0]
    server.serve(tmp_path / "work", limits=Limits(), host="0.0.0.0", port=0, open_browser=False, announce=said.append)
    assert "/?token=" in said[1]
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        server.serve(tmp_path / "file", limits=Limits(), port=0, open_browser=False)


def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for missing in ("starlette", "uvicorn"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            assert run_command_line(["app", "--work", str(tmp_path / "work"), "--port", "0", "--no-browser"]) == 2
        assert "pip install 'unish[app]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_people_have_a_picture_and_places(tmp_path: Path) -> None:
    """The picture is the largest that lies inside; places are those of the pelvis, null where nobody is."""
    result, shown = tmp_path / "result", tmp_path / "shown"
    result.mkdir(), shown.mkdir()
    record = make_record(make_figure(), num_people=2, num_frames=4)
    boxes = np.full_like(record.boxes_xyxy, np.nan)
    boxes[0, 0], boxes[0, 1] = (10, 10, 20, 30), (10, 10, 30, 40)
    boxes[0, 2] = (-5, -5, 30, 40)  # larger, but reaches over the edge
    images = np.zeros_like(record.images)
    images[1] = (0, 255, 0)
    valid = record.person_valid.copy()
    valid[:, 3] = False
    joints = np.random.default_rng(0).normal(size=record.joints.shape).astype(np.float32)
    joints[1, 1] = np.nan
    changed = replace(record, boxes_xyxy=boxes, images=images, person_valid=valid, joints=joints)
    changed.save(result / "reconstruction.npz")
    for old in ("person-9.jpg", "frame-9.jpg"):
        (shown / old).touch()
    write_people(result, shown)
    first = record.person_ids[0]
    frames = [f"frame-{number}.jpg" for number in range(4)]
    assert sorted(path.name for path in shown.iterdir()) == [*frames, "people.json", f"person-{first}.jpg"]
    picture = np.asarray(Image.open(shown / f"person-{first}.jpg"))
    assert picture.shape[0] > picture.shape[1] and picture[..., 1].mean() > 200
    told = json.loads((shown / "people.json").read_text())
    assert [person["has_picture"] for person in told["people"]] == [True, False]
    assert told["people"][0]["places"][3] is None and len(told["times_s"]) == len(told["shots"]) == 4
    np.testing.assert_allclose(told["people"][1]["places"][0], joints[1, 0, 0], atol=1e-3)
    assert told["people"][1]["places"][1] is None
    assert told["source_size"] == record.source_size.tolist()
    assert [one["time_s"] for one in told["pictures"]] == pytest.approx(record.timestamps_s, abs=1e-3)
    assert [np.asarray(Image.open(shown / name))[..., 1].mean() > 200 for name in frames] == [False, True, False, False]
    assert main(str(tmp_path / "nothing"), str(shown)) == 2


def test_pictures_of_people_are_blurred_when_asked(tmp_path: Path) -> None:
    record = make_record(make_figure(), num_people=1, num_frames=2)
    landmarks = np.full_like(record.landmarks_px, np.nan)
    landmarks[:, :, :11] = (30, 14, 1)
    landmarks[:, :, 7, 0], landmarks[:, :, 8, 0] = 26, 34  # ears
    boxes = np.tile(np.float32([15, 2, 45, 46]), (1, 2, 1))
    images = np.random.default_rng(0).integers(0, 255, record.images.shape, np.uint8)
    replace(record, boxes_xyxy=boxes, landmarks_px=landmarks, images=images).save(tmp_path / "reconstruction.npz")
    spread = []
    for flags in ((), ("--blur-faces",)):
        assert main(str(tmp_path), str(tmp_path), *flags) == 0
        picture = np.asarray(Image.open(tmp_path / f"person-{record.person_ids[0]}.jpg")).astype(float)
        left, top = 15 - int(0.15 * 30), 0
        spread.append(picture[14 - top - 3 : 14 - top + 4, 30 - left - 3 : 30 - left + 4].std())
    assert spread[1] < 0.6 * spread[0]
