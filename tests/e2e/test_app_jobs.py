"""The queue of ``unish app``: runs, failures, cancelling, restarts, edits and exports, with a stand-in for commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

from app_running import LIMITS, STAND_IN, RunningApp, running_app
from app_stand_in import BAD_INPUT, FAULT, FINE, GO, HUNGRY, KILLED, NOBODY, WAITS

pytest.importorskip("uvicorn", reason="the extra `app` is not installed")
pytest.importorskip("starlette", reason="the extra `app` is not installed")


start = partial(running_app, probes=False)


@pytest.fixture(scope="session")
def video() -> bytes:
    return bytes(range(200))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    with start(tmp_path / "work") as app:
        yield app


def until(holds: Callable[[], object], seconds: float = 240) -> float:
    """Seconds until it holds."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + seconds
        time.sleep(0.01)
    return time.monotonic() - begin


def is_alive(marker: str) -> bool:
    """Is there a process with this word in its command line?"""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes() and b"Z" not in path.with_name("stat").read_bytes().split()[2:3]:
                return True
        except OSError:
            continue
    return False


def test_a_video_becomes_a_result(app: RunningApp, video: bytes) -> None:
    added = app.upload(video, name="../../Tänzer <b>.mp4", fps=FINE, people=2, blur_faces=True)
    assert added.status == 201
    job = app.wait(added.value["id"], "done")
    assert job["name"] == "Tänzer <b>.mp4" and job["error"] == "" and job["seconds"] == pytest.approx(0.4, abs=0.05)
    log = (app.work / "jobs" / job["id"] / "log.txt").read_text()
    assert "error" not in log
    result = app.ask("GET", f"/api/jobs/{job['id']}/result").value
    assert [person["id"] for person in result["report"]["people"]] == [0, 1, 2]
    assert result["people"]["people"][2]["places"] == [[2, 0, 3]] * 4
    assert set(result["files"]) == {"scene.glb", "preview.mp4", "report.html", "report.json", "reconstruction.npz"}
    assert str(app.work) not in json.dumps([result, job])

    base = f"/jobs/{job['id']}"
    page = app.ask("GET", f"{base}/page")
    assert b"it runs" in page.body and "sandbox allow-scripts" in page.headers["content-security-policy"]
    assert "content-disposition" not in page.headers
    report = app.ask("GET", f"{base}/report")
    assert "script" not in report.headers["content-security-policy"]
    assert "<title>Tänzer &lt;b&gt;.mp4</title>" in report.body.decode(), "not what the app calls the file"
    assert app.ask("GET", f"{base}/poster.jpg").body.startswith(b"\xff\xd8")
    part = app.ask("GET", f"{base}/preview.mp4", headers={"Range": "bytes=0-9"})
    assert part.status == 206 and part.body == video[:10]
    saved = app.ask("GET", f"{base}/files/scene.glb")
    assert saved.body == b"glTF" and saved.headers["content-disposition"].startswith("attachment")
    assert "%20%3Cb%3E-scene.glb" in saved.headers["content-disposition"]
    # Its own files are what the app keeps; the user's name is in job.json alone.
    assert all("nzer" not in name for name in app.files())
    assert json.loads((app.work / "jobs" / job["id"] / "job.json").read_text())["name"] == job["name"]


def test_names_that_look_like_options_are_none(app: RunningApp, video: bytes) -> None:
    job = app.upload(video, name="--help", fps=FINE).value
    assert app.wait(job["id"], "done", "failed")["state"] == "done"


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (BAD_INPUT, "walk.mp4: there is no frame between 5 s and the end; change --start or --end"),
        (FAULT, "internal failure (KeyError); please report it with /logs/unish.log"),
        (KILLED, "the memory is used up"),
    ],
)
def test_failures_end_in_a_sentence(app: RunningApp, video: bytes, behaviour: int, sentence: str) -> None:
    """What is known of the job and its log stay, nothing else; the next job runs."""
    job = app.upload(video, fps=behaviour).value
    failed = app.wait(job["id"], "failed")
    assert sentence in failed["error"] and str(app.work) not in failed["error"]
    assert app.files() - {"lock"} == {f"jobs/{job['id']}/job.json", f"jobs/{job['id']}/log.txt"}
    if behaviour != KILLED:
        assert "a line for the log" in (app.work / "jobs" / job["id"] / "log.txt").read_text()
    assert app.ask("GET", f"/api/jobs/{job['id']}/result").status == 409
    assert app.wait(app.upload(video, fps=NOBODY).value["id"], "done")["error"] == ""


def test_nobody_in_the_video_is_a_result(app: RunningApp, video: bytes) -> None:
    job = app.wait(app.upload(video, fps=NOBODY).value["id"], "done")
    assert app.ask("GET", f"/api/jobs/{job['id']}/result").value["report"]["people"] == []


def test_a_command_that_is_missing_is_said(tmp_path: Path, video: bytes) -> None:
    """Nothing that goes wrong with one job ends the queue."""
    with start(tmp_path / "work", program=("/no/such/program",)) as app:
        for _ in range(2):
            failed = app.wait(app.upload(video).value["id"], "failed")
            assert "No such file" in failed["error"]


def test_cancelling_ends_everything_within_two_seconds(app: RunningApp, video: bytes) -> None:
    """Also what the command has started; the one that waits begins."""
    job, other = app.upload(video, fps=HUNGRY).value, app.upload(video, fps=FINE).value
    until(lambda: is_alive(f"held-for-{job['id']}"))
    assert app.jobs()[other["id"]]["state"] == "waiting"
    begin = time.monotonic()
    told = app.ask("POST", f"/api/jobs/{job['id']}/cancel")
    until(lambda: not is_alive(job["id"]), seconds=2)
    assert time.monotonic() - begin < 2
    assert told.value["state"] == "cancelled"
    assert not (app.work / "jobs" / job["id"] / "video.mp4").exists()
    assert not (app.work / "jobs" / job["id"] / "result").exists()
    assert app.wait(other["id"], "done")
    again = app.ask("POST", f"/api/jobs/{job['id']}/cancel")
    assert again.status == 409 and "nothing to cancel" in again.value["error"]
    assert app.ask("DELETE", f"/api/jobs/{job['id']}").status == 200
    assert not (app.work / "jobs" / job["id"]).exists()


def test_one_runs_and_others_wait_in_their_order(app: RunningApp, video: bytes) -> None:
    """A waiting job that is cancelled does not run; deleting a running one ends it."""
    ids = [app.upload(video, fps=WAITS).value["id"] for _ in range(4)]
    until(lambda: app.jobs()[ids[0]]["state"] == "running")
    jobs = app.jobs()
    assert [jobs[one]["state"] for one in ids] == ["running", "waiting", "waiting", "waiting"]
    assert [jobs[one]["ahead"] for one in ids[1:]] == [0, 1, 2]
    assert app.ask("POST", f"/api/jobs/{ids[1]}/cancel").value["state"] == "cancelled"
    assert app.ask("DELETE", f"/api/jobs/{ids[0]}").status == 200
    until(lambda: app.jobs()[ids[2]]["state"] == "running")
    (app.work / GO).touch()
    for one in ids[2:]:
        app.wait(one, "done")
    jobs = app.jobs()
    assert ids[0] not in jobs and jobs[ids[1]]["state"] == "cancelled"
    assert jobs[ids[2]]["changed_s"] <= jobs[ids[3]]["changed_s"]


def test_a_restart_goes_on(tmp_path: Path, video: bytes) -> None:
    work = tmp_path / "work"
    with start(work) as app:
        first, second = app.upload(video, fps=WAITS).value["id"], app.upload(video, fps=FINE).value["id"]
        until(lambda: app.jobs()[first]["stages"])
    assert not is_alive(first)
    for _ in range(3):  # however often it is ended by its user
        with start(work) as app:
            until(lambda app=app: app.jobs()[first]["stages"])
    (work / GO).touch()
    (work / "uploads" / "half").write_bytes(b"left by an app that was killed")
    with start(work) as app:
        assert app.wait(first, "done") and app.wait(second, "done")
        assert not list((work / "uploads").iterdir())


def test_what_a_killed_app_has_left_is_ended(tmp_path: Path, video: bytes) -> None:
    """The command of a killed app would go on and keep the new one out of the folder."""
    work = tmp_path / "work"
    with start(work) as app:
        job_id = app.upload(video, fps=WAITS).value["id"]
        until(lambda: app.jobs()[job_id]["state"] == "running")
    path = work / "jobs" / job_id / "job.json"
    video_path, out = path.with_name("video.mp4"), path.with_name("result")
    left = subprocess.Popen(
        [*STAND_IN, "reconstruct", str(video_path), "--out", str(out), "--fps", str(WAITS)],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"process": left.pid, "started": 2}))
        with start(work) as app:
            assert left.wait(10) == -signal.SIGKILL
            (work / GO).touch()
            app.wait(job_id, "done")
    finally:
        left.kill()
    # A number that belongs to somebody else by now is left alone.
    path.write_text(json.dumps(json.loads(path.read_text()) | {"process": os.getpid(), "state": "running"}))
    with start(work) as app:
        failed = app.wait(job_id, "failed")
        assert "interrupted 3 times" in failed["error"]


def send_edits(app: RunningApp, job_id: str, edits: list[dict[str, object]]) -> int:
    body = json.dumps({"format": "unish-edits/1", "edits": edits})
    return app.ask("PUT", f"/api/jobs/{job_id}/edits", body).status


def test_edits_change_the_result_and_can_be_undone(app: RunningApp, video: bytes) -> None:
    job_id = app.upload(video, fps=FINE).value["id"]
    first = app.wait(job_id, "done")

    def people() -> dict[int, float]:
        report = app.ask("GET", f"/api/jobs/{job_id}/result").value["report"]
        return {person["id"]: person["height_m"] for person in report["people"]}

    before = people()
    edits: list[dict[str, object]] = [
        {"kind": "person_height", "person": 1, "metres": 1.72}, {"kind": "merge", "persons": [0, 2]}
    ]  # fmt: skip
    assert send_edits(app, job_id, edits) == 202
    changed = app.wait(job_id, "done")
    assert changed["edits"] == edits and people() == {0: 1.7, 1: 1.72}
    written = json.loads((app.work / "jobs" / job_id / "edits.json").read_text())
    assert written == {"format": "unish-edits/1", "edits": edits}
    assert send_edits(app, job_id, [{"kind": "drop", "person": 0}]) == 202
    assert app.wait(job_id, "done")["edits"] == [{"kind": "drop", "person": 0}] and set(people()) == {1, 2}
    # One that cannot be made leaves the result and its edits as they are.
    assert send_edits(app, job_id, [{"kind": "drop", "person": 7}]) == 202
    refused = app.wait(job_id, "done")
    assert "there is no person" in refused["task_error"] and refused["edits"] == [{"kind": "drop", "person": 0}]
    assert set(people()) == {1, 2}
    assert send_edits(app, job_id, []) == 202
    last = app.wait(job_id, "done")
    assert people() == before and last["edits"] == [] and last["task_error"] == "" and first["edits"] == []


@pytest.fixture
def as_users_run_it() -> Iterator[None]:
    """Without the checks of types that the tests switch on, which would come before those of values."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("as_users_run_it")
def test_edits_that_mean_nothing_are_refused(app: RunningApp, video: bytes) -> None:
    job_id = app.upload(video, fps=FINE).value["id"]
    app.wait(job_id, "done")
    wrong: list[Any] = [
        "drop", {"kind": "run"}, {"kind": "drop"}, {"kind": "drop", "person": -1}, {"kind": "drop", "person": "1"},
        {"kind": "merge", "persons": [1]}, {"kind": "merge"}, {"kind": "person_height", "person": 1},
        {"kind": "person_height", "person": 1, "metres": 17.2}, {"kind": "person_height", "person": 1, "metres": True},
        {"kind": "split", "person": 1, "at_s": None}, {"kind": "floor", "shot": 0},
        {"kind": "closed_loop", "shot": 0.5},
    ]  # fmt: skip
    for edit in wrong:
        assert send_edits(app, job_id, [edit]) == 422, edit
    assert send_edits(app, job_id, [{"kind": "drop", "person": 1}] * 201) == 422
    for body in ("{}", '{"format": "unish-edits/2", "edits": []}', "{" + " " * 300_000, b"\xff"):
        assert app.ask("PUT", f"/api/jobs/{job_id}/edits", body).status == 422
    assert app.jobs()[job_id]["edits"] == [] and app.jobs()[job_id]["task_error"] == ""


def test_the_film_of_an_edited_result_is_drawn_when_it_is_asked_for(app: RunningApp, video: bytes) -> None:
    job_id = app.upload(video, fps=FINE).value["id"]
    film = f"/api/jobs/{job_id}/film"
    assert app.ask("POST", film).status == 409, "there is no result yet"
    assert app.wait(job_id, "done")["has_film"]
    assert send_edits(app, job_id, [{"kind": "drop", "person": 0}]) == 202
    assert app.ask("POST", film).status == 409, "the edit goes on"
    assert not app.wait(job_id, "done")["has_film"]
    assert app.ask("GET", f"/jobs/{job_id}/preview.mp4").status == 404
    assert "preview.mp4" not in app.ask("GET", f"/api/jobs/{job_id}/result").value["files"]
    told = app.ask("POST", film)
    assert told.status == 202 and told.value["task"] == "film"
    drawn = app.wait(job_id, "done")
    assert drawn["has_film"] and drawn["task_error"] == "" and drawn["edits"] == [{"kind": "drop", "person": 0}]
    assert app.ask("GET", f"/jobs/{job_id}/preview.mp4").body == b"drawn anew"


def test_a_restart_finishes_edits(tmp_path: Path, video: bytes) -> None:
    work = tmp_path / "work"
    with start(work) as app:
        job_id = app.upload(video, fps=FINE).value["id"]
        app.wait(job_id, "done")
    path = work / "jobs" / job_id / "job.json"
    edits = [{"kind": "drop", "person": 1}]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "refine", "wanted_edits": edits}))
    with start(work) as app:
        assert app.wait(job_id, "done")["edits"] == edits
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "export"}))
    with start(work) as app:
        assert "interrupted by a restart" in app.wait(job_id, "done")["task_error"]


def test_exports_are_one_file_or_a_zip(app: RunningApp, video: bytes) -> None:
    job_id = app.upload(video, name="a.b.mp4", fps=FINE).value["id"]
    app.wait(job_id, "done")

    def export(*formats: object) -> int:
        return app.ask("POST", f"/api/jobs/{job_id}/exports", json.dumps({"formats": formats})).status

    assert export("glb") == 202
    downloads = app.wait(job_id, "done")["downloads"]
    one = app.ask("GET", f"/jobs/{job_id}/exports/{downloads['glb']}")
    assert one.body == b"glb" and 'filename="a.b-glb.glb"' in one.headers["content-disposition"]
    assert export("glb", "bvh", "bvh") == 202
    downloads = app.wait(job_id, "done")["downloads"]
    several = app.ask("GET", f"/jobs/{job_id}/exports/{downloads['glb+bvh']}")
    with zipfile.ZipFile(BytesIO(several.body)) as archive:
        assert sorted(archive.namelist()) == ["export.json", "scene.bvh", "scene.glb"]
    assert export("usd") == 202
    assert "pip install 'unish[usd]'" in app.wait(job_id, "done")["task_error"]
    assert [export(), export("exe"), export(["glb"])] == [422] * 3
    exports = app.work / "jobs" / job_id / "exports"
    assert {path.name for path in exports.iterdir()} == set(downloads.values())
    # Files of a result that has changed since would be taken for the new one's.
    send_edits(app, job_id, [{"kind": "drop", "person": 0}])
    assert app.wait(job_id, "done")["downloads"] == {} and not exports.exists()


def test_the_live_viewer_is_one_and_ends_with_the_app(tmp_path: Path, video: bytes) -> None:
    with start(tmp_path / "work") as app:
        ids = [app.upload(video, fps=FINE).value["id"] for _ in range(2)]
        for one in ids:
            app.wait(one, "done")
        first = app.ask("POST", f"/api/jobs/{ids[0]}/live").value["address"]
        assert first.startswith("http://127.0.0.1:") and is_alive(ids[0])
        assert app.ask("POST", f"/api/jobs/{ids[0]}/live").value["address"] == first
        app.ask("POST", f"/api/jobs/{ids[1]}/live")
        assert is_alive(ids[1]) and not is_alive(ids[0])
        app.ask("DELETE", f"/api/jobs/{ids[1]}/live")
        assert not is_alive(ids[1])
        app.ask("POST", f"/api/jobs/{ids[0]}/live")
    assert not is_alive(ids[0])
    with start(tmp_path / "work", program=(sys.executable, "-c", "print('no')")) as app:
        assert "did not start" in app.ask("POST", f"/api/jobs/{ids[0]}/live").value["error"]


def test_old_results_go_and_open_jobs_stay(tmp_path: Path, video: bytes) -> None:
    work = tmp_path / "work"
    with start(work) as app:
        ids = [app.upload(video, fps=FINE).value["id"] for _ in range(2)]
        for one in ids:
            app.wait(one, "done")
    path = work / "jobs" / ids[0] / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"changed_s": time.time() - 3 * 86400}))
    with start(work, limits=replace(LIMITS, keep_days=0)) as app:
        assert set(app.jobs()) == set(ids)
    with start(work, limits=replace(LIMITS, keep_days=2)) as app:
        until(lambda: ids[0] not in app.jobs())
        assert set(app.jobs()) == {ids[1]} and not path.parent.exists()


def test_a_full_disk_is_said_before_a_run(tmp_path: Path, video: bytes) -> None:
    work = tmp_path / "work"
    with start(work) as app:
        job_id = app.upload(video, fps=WAITS).value["id"]
        until(lambda: app.jobs()[job_id]["state"] == "running")
    with start(work, limits=replace(LIMITS, min_free_bytes=10**18)) as app:
        failed = app.wait(job_id, "failed")
        assert "the disk is nearly full" in failed["error"]
        assert not (work / "jobs" / job_id / "video.mp4").exists()
