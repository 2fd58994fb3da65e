"""What ``report.html`` says in words: sentences and numbers from what ``report.json`` holds."""

from __future__ import annotations

import html
from typing import Any

from unish.structs import Reconstruction

_LENS = {
    "given": "You gave the focal length.",
    "metadata": "The focal length stands in the file's metadata.",
    "solved": "The focal length was solved from the video.",
    "guessed": "The focal length is a guess. If it is wrong by a tenth, all distances are wrong by about a tenth.",
}
_VERDICTS = ("good", "doubtful", "bad")


def show(report: dict[str, Any], key: str, digits: int, unit: str) -> str:
    """A number of the report as HTML, rounded, with its place in the report and the unrounded value.

    Args:
        key: names and indices joined by dots, such as ``people.0.height_m``.
    """
    value: Any = report
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    if value is None:
        return f"<data data-key='{key}' value=''>unknown</data>"
    text = f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return f"<data data-key='{key}' value='{value!r}'>{text}{' ' + unit if unit else ''}</data>"


def describe_findings(report: dict[str, Any], record: Reconstruction) -> str:
    """The first paragraph: how long, how many, and whether it is any good."""
    span = record.timestamps_s[-1] - record.timestamps_s[0]
    people, shots = len(report["people"]), len(report["shots"])
    found = _count(people, "person", "people") if people else "nobody"
    pieces = [f"In {record.num_frames} frames over {span:.1f} s, UniSH found {found}"]
    pieces.append(
        f" in {shots} shots (between them the film cuts, and each shot is a world of its own)." if shots > 1 else "."
    )
    grades = [row["verdict"] for row in (*report["shots"], *report["people"])]
    bad, doubtful = grades.count("bad"), grades.count("doubtful")
    if bad:
        pieces.append(f" {_count(bad, 'part is', 'parts are')} bad: read why before you use the result.")
    elif doubtful:
        pieces.append(f" {_count(doubtful, 'part is', 'parts are')} doubtful: read why before you rely on them.")
    else:
        pieces.append(" The run itself saw nothing wrong with the result.")
    if report["warnings"]:
        pieces.append(" What it had to assume, or could not tell, stands under Warnings.")
    return f"<p class='lead'>{''.join(pieces)}</p>"


def describe_shot_trust(report: dict[str, Any]) -> str:
    """A table of lens, camera, size and ground for each shot, with what each rests on."""
    rows = []
    for index, shot in enumerate(report["shots"]):
        if len(report["shots"]) > 1:
            frames = show(report, f"shots.{index}.frames", 0, "frames")
            rows.append(f"<tr><th colspan='2'>shot {index + 1}, {frames}</th></tr>")
        rows += [
            f"<tr><th scope='row'>{part}</th><td>{words}</td></tr>"
            for part, words in (
                ("on the whole", _verdict(shot)),
                ("lens", _say_lens(report, index)),
                ("camera", _say_camera(report, index)),
                ("ground", _say_ground(report, index)),
                ("size", _say_size(report, index)),
            )
        ]
    return f"<div class='wide'><table>{''.join(rows)}</table></div>"


def describe_people_trust(report: dict[str, Any], index: int) -> str:
    """Verdict and reasons of one person, how sure the run is of their distance, and what it says of their stature."""
    person = report["people"][index]
    certainty = show(report, f"people.{index}.certainty", 2, "")
    stature = f"; {html.escape(str(person['size']))}" if "size" in person else ""
    return f"{_verdict(person)} certainty of the distance {certainty} of 1{stature}"


def _say_lens(report: dict[str, Any], index: int) -> str:
    angle = show(report, f"shots.{index}.field_of_view_deg", 0, "°")
    source = _LENS.get(report["shots"][index]["focal_source"], "")
    zoom = float(report["shots"][index].get("zoom", 1.0))
    zooms = (
        ""
        if zoom == 1.0
        else f" The lens zooms {'in' if zoom > 1 else 'out'} by a factor of {max(zoom, 1 / zoom):.2f}."
    )
    return f"{angle} along the long side of the picture. {source}{zooms}"


def _say_camera(report: dict[str, Any], index: int) -> str:
    if report["shots"][index]["camera_still"]:
        return "It stood still: the pictures agree wherever no people are."
    extent = show(report, f"shots.{index}.camera_extent_m", 2, "m")
    apart = show(report, f"shots.{index}.static_disagreement_percent", 1, "%")
    return (
        f"It moved, or only turned; its places span {extent}. What stands still differs by {apart} of its distance "
        "between frames (median)."
    )


def _say_size(report: dict[str, Any], index: int) -> str:
    words = html.escape(str(report["shots"][index].get("size", "")))
    words = f"{words[:1].upper()}{words[1:]}." if words else ""
    if report["quality"].get("scale_uncertainty") is None:
        return (
            words or "Nobody could be measured, so nothing ties the scene to metres: sizes and distances are a guess."
        )
    shown = show(report, "quality.scale_uncertainty", 3, "")
    return f"{words} People's bodies measure the scene; they agree about its size within {shown} (1 σ).".strip()


def _say_ground(report: dict[str, Any], index: int) -> str:
    shot = report["shots"][index]
    if not shot["gravity_known"]:
        return "Which way is down is unknown: nobody was seen standing upright for long enough."
    source, _, refused = str(shot["ground"]).partition("; ")
    told = {
        "feet": f"Told by feet that stand ({show(report, f'shots.{index}.contacts', 0, 'contacts')}).",
        "found floor": "A floor was found among the points of the scene.",
        "height of upright people's feet": "No floor was found: a level plane at the height of the feet stands in.",
    }.get(source, html.escape(source))
    return f"{told} {html.escape(refused)}".strip()


def _verdict(row: dict[str, Any]) -> str:
    grade = row["verdict"] if row["verdict"] in _VERDICTS else "unknown"
    reasons = "".join(f"<li>{html.escape(str(reason))}</li>" for reason in row["reasons"])
    return f"<span class='verdict {grade}'>{grade}</span>" + (f"<ul>{reasons}</ul>" if reasons else "")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
