"""What ``unish app`` takes in and what it refuses: each refusal is a sentence and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from app_running import LIMITS, RunningApp, running_app
from app_stand_in import FINE, WAITS
from unish.app.guards import Door
from unish.app.limits import Limits
from unish.app.probe import probe
from unish.errors import InputError
from written_videos import numbered_pictures, write_video

pytest.importorskip("uvicorn", reason="the extra `app` is not installed")
pytest.importorskip("starlette", reason="the extra `app` is not installed")


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", numbered_pictures(4)).read_bytes()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    with running_app(tmp_path / "work") as app:
        yield app


def is_empty(app: RunningApp) -> bool:
    return app.jobs() == {} and app.files() <= {"lock"} and not list((app.work / "jobs").iterdir())


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "empty"),
        (b"just a text\n" * 500, "not a video"),
        (PLAYLIST, "not a video"),
        (b"ffconcat version 1.0\nfile '/etc/hostname'\n", "not a video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "not a video"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(4000), "not a video"),
        (b"\x80\x04cos\nsystem\n", "not a video"),
        (b"PK\x03\x04" + bytes(300), "not a video"),
    ],
)
def test_what_is_no_video_is_refused(app: RunningApp, body: bytes, sentence: str) -> None:
    """By what is in it: the name says mp4."""
    reply = app.upload(body, name="holiday.mp4")
    assert reply.status == 422 and sentence in reply.value["error"]
    assert is_empty(app)


def test_a_video_is_one_whatever_its_name(app: RunningApp, video: bytes) -> None:
    job = app.upload(video, name="notes.txt", fps=FINE).value
    assert app.wait(job["id"], "done")["name"] == "notes.txt"


@pytest.fixture
def as_users_run_it() -> Iterator[None]:
    """Without the checks of types that the tests switch on, which would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    "options",
    [
        '{"fps": 0}', '{"fps": "6"}', '{"people": 1.5}', '{"start": 3, "end": 2}', '{"model": "/etc"}', '{"fps": NaN}',
        '{"blur_faces": 1}', "[1]", "{", "[" * 9999,
    ],
)  # fmt: skip
def test_bad_options_are_refused_before_the_video_is_read(app: RunningApp, video: bytes, options: str) -> None:
    reply = app.ask("POST", f"/api/jobs?name=a.mp4&options={quote(options)}", video)
    assert reply.status == 422 and reply.value["error"]
    assert is_empty(app)


def test_a_video_that_says_it_is_too_large_is_refused_unread(app: RunningApp) -> None:
    """3 GB; of its body nothing is sent."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        head = f"POST /api/jobs?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nContent-Length: 3000000000\r\n\r\n"
        connection.sendall(head.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 413 and "larger than 2 GB" in json.loads(answer.read())["error"]
    assert is_empty(app)


def test_a_stream_without_end_is_cut_off(tmp_path: Path) -> None:
    """300 MB that are not announced: what comes is counted, and no more of it is stored than allowed."""
    with running_app(tmp_path / "work", limits=replace(LIMITS, max_bytes=3_000_000)) as app:
        stored = 0

        def blocks() -> Iterator[bytes]:
            nonlocal stored
            for _ in range(30):
                yield bytes(10_000_000)
                stored = max([stored, *(path.stat().st_size for path in (app.work / "uploads").iterdir())])

        reply = app.ask("POST", "/api/jobs?name=a.mp4", blocks(), {"Transfer-Encoding": "chunked"}, chunked=True)
        assert reply.status == 413 and "larger than 3 MB" in reply.value["error"]
        assert stored <= 3_000_000 and is_empty(app)


def wait_until_empty(app: RunningApp) -> None:
    end = time.monotonic() + 10
    while not is_empty(app):
        assert time.monotonic() < end, app.files()
        time.sleep(0.02)


def test_too_long_is_refused(tmp_path: Path, video: bytes) -> None:
    with running_app(tmp_path / "work", limits=replace(LIMITS, max_minutes=0.001)) as app:
        reply = app.upload(video)
        assert reply.status == 422 and "minutes long" in reply.value["error"] and is_empty(app)


def test_a_full_disk_refuses_uploads(tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they begin by what they say, and while they come; room is kept for what comes at the same time."""
    from unish.app import limits

    free = 10_000_000_000
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": free}))
    with running_app(tmp_path / "work", limits=Limits(min_free_bytes=9_999_000_000)) as app:
        blocks = (bytes(500_000) for _ in range(10))
        job = app.upload(video, fps=FINE)
        assert app.wait(job.value["id"], "done")
        app.ask("DELETE", f"/api/jobs/{job.value['id']}")
        refused = app.ask("POST", "/api/jobs?name=a.mp4", bytes(2_000_000))
        assert refused.status == 507 and "the disk is nearly full" in refused.value["error"] and is_empty(app)
        free = 100
        reply = app.ask("POST", "/api/jobs?name=a.mp4", blocks, {"Transfer-Encoding": "chunked"}, chunked=True)
        assert reply.status == 507 and is_empty(app)


def test_a_sender_that_goes_away_or_stands_still_leaves_nothing(tmp_path: Path, video: bytes) -> None:
    with running_app(tmp_path / "work", limits=replace(LIMITS, idle_seconds=0.3)) as app:
        head = f"POST /api/jobs?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nContent-Length: 50000000\r\n\r\n"
        for stands_still in (False, True):
            with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
                connection.sendall(head.encode() + bytes(2_000_000))
                if stands_still:
                    answer = http.client.HTTPResponse(connection)
                    answer.begin()
                    assert answer.status == 422 and "stood still" in json.loads(answer.read())["error"]
            wait_until_empty(app)
        assert app.api.uploads.reserved == 0
        assert app.upload(video, fps=FINE).status == 201


def test_twenty_uploads_at_once(tmp_path: Path, video: bytes) -> None:
    """As many as may wait are taken in, each under a name of its own; the others are told why not."""
    limits = replace(LIMITS, max_waiting=12)
    with running_app(tmp_path / "work", limits=limits, probes=False) as app, ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda number: app.upload(video, name=f"{number}.mp4", fps=WAITS), range(20)))
        taken = [reply.value for reply in replies if reply.status == 201]
        refused = [reply.value["error"] for reply in replies if reply.status != 201]
        assert 12 <= len(taken) <= 13 and len(taken) + len(refused) == 20
        assert all("wait already" in sentence for sentence in refused)
        assert {job["id"] for job in taken} == app.jobs().keys() and not list((app.work / "uploads").iterdir())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd"), ("..\\..\\evil.mp4", "evil.mp4"), ("/", "video"), ("", "video"),
        ("a\nb\x00\u202ec.mp4", "abc.mp4"), ("x" * 500, "x" * 120), ("..", ".."),
    ],
)  # fmt: skip
def test_names_are_text_to_show(tmp_path: Path, video: bytes, name: str, shown: str) -> None:
    with running_app(tmp_path / "inside" / "work", probes=False) as app:
        job = app.upload(video, name=name, fps=FINE).value
        assert job["name"] == shown
        app.wait(job["id"], "done")
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in app.work.parent.iterdir()] == ["work"]
    assert {path.split("/")[0] for path in app.files()} <= {"jobs", "lock"}


def test_no_path_leads_out(app: RunningApp, video: bytes) -> None:
    job_id = app.upload(video, fps=FINE).value["id"]
    app.wait(job_id, "done")
    for path in (
        "/static/..%2f..%2fjobs.py", "/static/../jobs.py", "/static/jobs.py", "/static/index.html",
        f"/jobs/{job_id}/files/..%2fjob.json", f"/jobs/{job_id}/files/job.json",
        f"/jobs/{job_id}/exports/..%2fjob.json",
        f"/jobs/{job_id}/people/..%2f0.jpg", f"/jobs/{job_id}/people/-1.jpg", f"/jobs/..%2f{job_id}/page",
        "/jobs/0000000000000000/page", "/api/jobs/../../etc/passwd/result", "/..%2f..%2fetc/passwd",
    ):  # fmt: skip
        assert app.ask("GET", path).status == 404, path


def test_only_the_own_page_may_ask(app: RunningApp, video: bytes) -> None:
    """A foreign Host, as a rebound name has it; foreign pages; pages in a sandbox; other programs on this machine."""
    own = f"http://127.0.0.1:{app.port}"
    for host in ("evil.example", f"evil.example:{app.port}", "127.0.0.1.evil.example", ""):
        reply = app.ask("GET", "/", headers={"Host": host})
        assert reply.status == 400 and b"open the address that it printed" in reply.body
    for host in (f"localhost:{app.port}", f"LOCALHOST:{app.port}", f"[::1]:{app.port}", "127.0.0.1"):
        assert app.ask("GET", "/", headers={"Host": host}).status == 200
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{app.port + 1}"},
        {"Origin": f"http://localhost:{app.port}"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Origin": own, "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"},
    ):  # fmt: skip
        reply = app.ask("POST", "/api/jobs?name=a.mp4", video, headers)
        assert reply.status == 403 and b"another site" in reply.body, headers
    assert is_empty(app)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert app.ask("GET", "/api/events", headers=foreign).status == 403
    assert app.ask("GET", "/", headers=foreign | {"Sec-Fetch-Mode": "navigate"}).status == 200  # a link to the app
    assert app.ask("POST", "/", headers=foreign | {"Sec-Fetch-Mode": "navigate"}).status == 403
    for headers in ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, {}):
        assert app.ask("POST", "/api/jobs?name=a.mp4&options=" + quote('{"fps": 1}'), video, headers).status == 201


def test_every_answer_has_safe_headers(app: RunningApp) -> None:
    for path in ("/", "/static/app.js", "/api/about", "/nothing", "/static/nothing"):
        headers = app.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in headers
    index = app.ask("GET", "/").body.decode()
    assert "<script>" not in index and "style=" not in index and "onclick" not in index


def test_with_a_token_nobody_comes_in_without_it(tmp_path: Path) -> None:
    with running_app(tmp_path / "work", door=Door(token="secret", any_address=True)) as app:
        assert app.ask("GET", "/").status == 401 and app.ask("GET", "/api/about").status == 401
        assert app.ask("GET", "/?token=wrong").status == 401 and app.ask("POST", "/?token=secret").status == 401
        opened = app.ask("GET", "/?token=secret")
        assert opened.status == 303 and opened.headers["location"] == "/"
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        key = {"Cookie": cookie.split(";")[0]}
        assert app.ask("GET", "/api/about", headers=key).status == 200
        assert app.ask("GET", "/api/about", headers={"Cookie": "unish_token=other"}).status == 401
        assert app.ask("GET", "/", headers=key | {"Host": "192.168.1.7:80"}).status == 200
        assert app.ask("GET", "/", headers=key | {"Host": "evil.example"}).status == 400


def test_two_pages_are_told_of_everything(app: RunningApp, video: bytes) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", app.port, timeout=20) for _ in range(2)]
    pages = []
    for connection in connections:
        connection.request("GET", "/api/events", headers={"Accept": "text/event-stream"})
        pages.append(connection.getresponse())
    job_id = app.upload(video, fps=FINE).value["id"]
    app.wait(job_id, "done")
    app.ask("DELETE", f"/api/jobs/{job_id}")
    for page in pages:
        assert page.headers["content-type"].startswith("text/event-stream")
        kinds, states = set(), []
        while "gone" not in kinds:
            line = page.readline().decode().strip()
            if line.startswith("event: "):
                kinds.add(line.removeprefix("event: "))
            elif line.startswith("data: {"):
                states.append(json.loads(line.removeprefix("data: ")).get("state"))
        assert kinds == {"jobs", "job", "gone"} and {"running", "done"} & set(states)
    for connection in connections:
        connection.close()


def test_a_fault_of_the_app_names_its_log(app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.api.uploads, "receive", None)
    reply = app.ask("POST", "/api/jobs?name=a.mp4", b"x")
    log = app.work / "app.log"
    assert reply.status == 500 and str(log) in reply.value["error"] and "TypeError" in log.read_text()


def test_a_video_is_described_upright(tmp_path: Path) -> None:
    """A recording of a browser states no length."""
    poster = tmp_path / "poster.jpg"
    pictures = numbered_pictures(6, height=64, width=96)
    webm = write_video(tmp_path / "clip.webm", pictures, fps=5, codec="libvpx")
    facts = probe(webm, poster)
    assert (facts["suffix"], facts["width"], facts["height"]) == (".mkv", 96, 64)
    assert facts["seconds"] == pytest.approx(1.2, abs=0.25)
    assert Image.open(poster).size == (96, 64)
    assert np.asarray(Image.open(poster)).mean() > 20
    # The duration stands in the header of the segment: its name is made another one, which readers pass over.
    content = webm.read_bytes()
    assert content.count(b"\x44\x89\x88") == 1
    webm.write_bytes(content.replace(b"\x44\x89\x88", b"\xec\x01\x88", 1))
    assert probe(webm, poster)["seconds"] == pytest.approx(1.1, abs=0.25)
    with pytest.raises(InputError, match="not a video"):
        probe(tmp_path / "nothing.mp4", poster)
