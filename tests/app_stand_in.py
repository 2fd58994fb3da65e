"""A stand-in for the ``unish`` commands that the app starts: quick, and as good or bad as a test wants.

``python app_stand_in.py COMMAND …``. What ``reconstruct`` does is chosen by its ``--fps``; see ``BEHAVIOURS``.
"""

from __future__ import annotations

import base64
import html
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FINE, BAD_INPUT, FAULT, KILLED, HUNGRY, WAITS, NOBODY = 1, 2, 3, 4, 5, 6, 7
BEHAVIOURS = (FINE, BAD_INPUT, FAULT, KILLED, HUNGRY, WAITS, NOBODY)
PAGE = "<!doctype html><title>page</title><script>document.title = 'it runs'</script>"
PICTURE = base64.b64decode(
    "R0lGODdhKAAUAIEAAHigyAAAAAAAAAAAACwAAAAAKAAUAEAIMAABCBxIsKDBgwgTKlzIsKHDhxAjSpxIsaLFixgzatzIsaPHjyBDihxJsqTJkxQDAgA7"
)
"""40×20 pixels of one colour, as GIF: browsers look at the content."""
SOURCE_SIZE = [200, 400]
"""Height and width of the video that ``PICTURE`` shows."""
GO = "go"
"""A file of this name in the work folder lets a run go on that waits."""


def reconstruct(video: Path, out: Path, fps: int, title: str | None) -> int:
    for done in range(3):
        tell("read video", done, 2)
    tell("network", 0, None)
    if fps == BAD_INPUT:
        return fail(f"{video}: there is no frame between 5 s and the end; change --start or --end", 2)
    if fps == FAULT:
        return fail("internal failure (KeyError); please report it with /logs/unish.log", 1)
    if fps == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if fps == HUNGRY:
        # Deaf to a polite end; and a child of the command holds the memory, as a worker of a library would.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        hold = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(600)"
        subprocess.run([sys.executable, "-c", hold, "held-for-" + out.parent.name], check=False)
    while fps == WAITS and not (out.parents[2] / GO).exists():
        time.sleep(0.02)
    people = [] if fps == NOBODY else [describe(0, 1.7), describe(1, 1.8), describe(2, 1.6)]
    write_result(out, people)
    (out / "report.html").write_text(f"<title>{html.escape(title or video.name)}</title>", encoding="utf-8")
    (out / "preview.mp4").write_bytes(video.read_bytes())
    (out / "reconstruction.npz").write_bytes(b"npz")
    (out / "scene.glb").write_bytes(b"glTF")
    tell("network", 1, 1)
    return 0


def refine(folder: Path, edits: Path) -> int:
    """Drops, heights, merges and splits of the people that the first run found; it takes note of all other edits.

    The film goes, as any film that shows other edits does.
    """
    people = {row["id"]: row for row in (describe(0, 1.7), describe(1, 1.8), describe(2, 1.6))}
    for edit in json.loads(edits.read_text())["edits"]:
        gone = edit["persons"][1:] if edit["kind"] == "merge" else [edit["person"]] if edit["kind"] == "drop" else []
        if not {*gone, edit.get("person", 0)} <= people.keys():
            return fail(f"there is no person {gone or edit['person']}", 2)
        for person in gone:
            del people[person]
        if edit["kind"] == "person_height":
            people[edit["person"]]["height_m"] = edit["metres"]
        if edit["kind"] == "split":
            people[3] = describe(3, 1.5)
    write_result(folder, list(people.values()))
    (folder / "preview.mp4").unlink(missing_ok=True)
    return 0


def draw_film(folder: Path) -> int:
    tell("preview", 1, 2)
    (folder / "preview.mp4").write_bytes(b"drawn anew")
    return 0


def view(folder: Path, static: Path | None) -> int:
    if static is not None:
        static.write_text(PAGE)
        return 0
    print(f"http://127.0.0.1:{9000 + os.getpid() % 1000} shows {folder}", flush=True)
    time.sleep(600)
    return 0


def export(out: Path, formats: list[str]) -> int:
    if "usd" in formats:
        return fail("scene.usdc: pxr is not installed; pip install 'unish[usd]'", 2)
    for name in formats:
        (out / f"scene.{name}").write_text(name)
    (out / "export.json").write_text("{}")
    return 0


def people(result: Path, shown: Path) -> int:
    """In place of ``unish.app.people``."""
    rows = json.loads((result / "report.json").read_text())["people"]
    table = [
        {"id": row["id"], "colour": "#ff0000", "has_picture": False, "places": [[row["id"], 0, 3]] * 4} for row in rows
    ]
    pictures = [{"time_s": 0.0}, {"time_s": 0.5}, {"time_s": 1.0}]
    for number in range(len(pictures)):
        (shown / f"frame-{number}.jpg").write_bytes(PICTURE)
    told = {
        "times_s": [0.0, 0.5, 0.6, 1.0], "shots": [0, 0, 1, 1], "people": table, "pictures": pictures,
        "source_size": SOURCE_SIZE,
    }  # fmt: skip
    (shown / "people.json").write_text(json.dumps(told))
    return 0


def probe(upload: Path, poster: Path) -> int:
    """In place of ``unish.app.probe``: everything is a video."""
    poster.write_bytes(b"\xff\xd8")
    print(json.dumps({"suffix": ".mp4", "seconds": 0.4, "width": 128, "height": 96}))
    return 0


def describe(person: int, height_m: float) -> dict[str, object]:
    return {
        "id": person, "frames": 3, "height_m": height_m, "height_interval_m": [height_m - 0.1, height_m + 0.1],
        "distance_m": [2.0, 3.0, 4.0], "first_s": 0.0, "last_s": 1.0, "verdict": "good", "reasons": [],
    }  # fmt: skip


def write_result(out: Path, rows: list[dict[str, object]]) -> None:
    shot = {"verdict": "good", "reasons": [], "scale_interval": [0.9, 1.1], "size": "lengths within 10 %"}
    report = {
        "people": rows,
        "shots": [shot, shot],
        "quality": {},
        "warnings": ["the focal length is guessed"],
        "seconds": {},
    }
    (out / "report.json").write_text(json.dumps(report))


def tell(stage: str, done: int, total: int | None) -> None:
    print(json.dumps({"event": "progress", "stage": stage, "done": done, "total": total}), file=sys.stderr, flush=True)


def fail(sentence: str, code: int) -> int:
    print("a line for the log", file=sys.stderr)
    print(f"unish: error: {sentence}", file=sys.stderr)
    return code


def value_of(words: list[str], flag: str) -> str | None:
    joined = [word.removeprefix(f"{flag}=") for word in words if word.startswith(f"{flag}=")]
    return joined[0] if joined else words[words.index(flag) + 1] if flag in words else None


def main(words: list[str]) -> int:
    command, folder = words[0], Path(words[1])
    out = Path(value_of(words, "--out") or ".")
    if command == "reconstruct":
        return reconstruct(folder, out, int(float(value_of(words, "--fps") or FINE)), value_of(words, "--title"))
    if command == "refine":
        return draw_film(folder) if "--preview" in words else refine(folder, Path(words[2]))
    if command == "view":
        static = value_of(words, "--static")
        return view(folder, None if static is None else Path(static))
    if command == "export":
        return export(out, [words[index + 1] for index, word in enumerate(words) if word == "--to"])
    return probe(folder, Path(words[2])) if command == "probe" else people(folder, Path(words[2]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
