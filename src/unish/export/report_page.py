"""``report.html``: what a run found and how far it can be trusted, in plain words, in one file that needs no other."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from unish.body import JOINT_NAMES, Body
from unish.export.plan_views import PlanViews
from unish.export.preview import paint_overlays
from unish.export.report_charts import Curve, Way, css_colour, draw_curves, draw_map, jpeg_url
from unish.export.report_words import describe_findings, describe_people_trust, describe_shot_trust, show
from unish.io import to_json_values, written_beside
from unish.render.colours import person_colour
from unish.structs import Reconstruction

_STRIP_FRAMES, _STRIP_SIDE = 8, 320
_MAP_SIZE = (460, 720)
_MAX_MAPS = 6
"""The longest shots have maps; a film of a hundred shots would make a page of a hundred maps."""
_HEAD = JOINT_NAMES.index("head")
_ANKLES = [JOINT_NAMES.index("left_ankle"), JOINT_NAMES.index("right_ankle")]
_CAMERA_COLOUR = "#ffffff"

_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #22272c; background: #fff; max-width: 60rem; margin: 0 auto;
  padding: 1rem; }
h1 { font-size: 1.6rem; margin: .4rem 0; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; border-top: 1px solid #d7dce0; padding-top: 1rem; }
.lead { font-size: 1.1rem; }
.strip { display: flex; gap: .4rem; overflow-x: auto; }
.strip figure { margin: 0; flex: 0 0 auto; }
.strip img { height: 11rem; display: block; border-radius: 4px; }
figure { margin: .5rem 0; overflow-x: auto; }
figcaption, .note { overflow-wrap: anywhere; color: #5a636b; font-size: .86rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; width: 100%; }
th, td { padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #e3e7ea; text-align: left; vertical-align: top; }
td data { white-space: nowrap; }
.verdict { font-weight: 600; padding: .05rem .5rem; border-radius: 1rem; white-space: nowrap; }
.good { background: #d9f0e0; color: #14532d; } .doubtful { background: #fdeec8; color: #6b4400; }
.bad { background: #f9d9d6; color: #7f1d1d; } .unknown { background: #e9ecef; color: #444; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .4em;
  border: 1px solid #8886; }
ul { padding-left: 1.2rem; }
svg { width: 100%; min-width: 30rem; height: auto; font: 12px system-ui, sans-serif; fill: #5a636b; }
svg .grid { stroke: #e3e7ea; } svg .on { fill: #fff; paint-order: stroke; stroke: #000a; stroke-width: 3px; }
svg text.on { font-size: 14px; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
"""


def write_report_page(path: Path, reconstruction: Reconstruction, body: Body, report: dict[str, Any]) -> None:
    """Write the page, whole or not at all.

    Every number that stands in ``report.json`` is the one from there, in a ``data`` element whose ``data-key`` says
    where it stands (``people.0.height_m``) and whose ``value`` is the unrounded number.

    Args:
        reconstruction: as it is shown to others, with blurred faces where these were asked for; at any frames.
        body: the model that poses its parameters.
        report: what goes into ``report.json``; ``seconds`` and memory are not shown.
    """
    known: dict[str, Any] = to_json_values(report)
    dense = reconstruction.at_dense_frames()
    name = html.escape(name_of_video(known))
    parts = [
        f"<h1>{name}</h1>",
        describe_findings(known, reconstruction),
        _strip(dense, body),
        "<h2>How far each part can be trusted</h2>",
        describe_shot_trust(known),
        _people(known),
        *_maps(reconstruction, dense),
        *_charts(reconstruction),
        _warnings(known),
        _numbers(known),
        _footer(known),
    ]
    page = (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{name} · UniSH</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{_CSS}</style></head><body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )
    with written_beside(path) as beside:
        # A name need not be text: bytes that are none are shown by their numbers.
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")


def name_of_video(report: Mapping[str, Any]) -> str:
    """What a report calls its video: what the user does, or the name of the file; empty where it says neither.

    The name alone: folders of somebody's machine are nobody's business.
    """
    return str(report.get("settings", {}).get("title") or Path(str(report.get("input", ""))).name)


def _strip(dense: Reconstruction, body: Body) -> str:
    """Some frames with the bodies over them, evenly spread over the video."""
    count = min(dense.num_frames, _STRIP_FRAMES)
    frames = np.unique(np.linspace(0, dense.num_frames - 1, count).round().astype(int)).tolist()
    figures = []
    for frame, picture in zip(frames, paint_overlays(dense, body, frames), strict=True):
        small = Image.fromarray(picture)
        small.thumbnail((_STRIP_SIDE, _STRIP_SIDE))
        time = f"{dense.timestamps_s[frame]:.2f} s"
        figures.append(
            f"<figure><img src='{jpeg_url(np.asarray(small))}' alt='frame at {time}, bodies drawn over it'>"
            f"<figcaption>{time}</figcaption></figure>"
        )
    return f"<div class='strip' tabindex='0' aria-label='frames of the video'>{''.join(figures)}</div>"


def _people(report: dict[str, Any]) -> str:
    if not report["people"]:
        return ""
    rows = [
        f"<tr><th scope='row'>{_key(person['id'])}person {person['id']}</th>"
        f"<td>{show(report, f'people.{index}.height_m', 2, 'm')}</td>"
        f"<td>{show(report, f'people.{index}.distance_m.1', 2, 'm')}</td>"
        f"<td>{show(report, f'people.{index}.first_s', 2, 's')} to {show(report, f'people.{index}.last_s', 2, 's')}, "
        f"{show(report, f'people.{index}.frames', 0, 'frames')}</td>"
        f"<td>{describe_people_trust(report, index)}</td></tr>"
        for index, person in enumerate(report["people"])
    ]
    return (
        "<h2>People</h2><div class='wide'><table><tr><th>who</th><th>height</th><th>distance (median)</th>"
        f"<th>seen</th><th>trust</th></tr>{''.join(rows)}</table></div>"
    )


def _maps(record: Reconstruction, dense: Reconstruction) -> list[str]:
    """The scene of each shot from above, with the ways of people and camera."""
    shots = record.shot_frames()
    longest = sorted(range(len(shots)), key=lambda shot: shots[shot].start - shots[shot].stop)[:_MAX_MAPS]
    parts = ["<h2>Seen from above</h2>"]
    for shot in sorted(longest):
        frames = shots[shot]
        dense_frames = np.flatnonzero(dense.segment == record.segment[frames.start])
        if not len(dense_frames):
            continue
        background, view = PlanViews(dense, shot, dense_frames, _MAP_SIZE).map_from_above()
        ways = [Way(name="camera", colour=_CAMERA_COLOUR, places=record.c2w[frames, :3, 3].astype(np.float64))]
        ways += [
            Way(name=str(person_id), colour=css_colour(person_colour(person_id)), places=places.astype(np.float64))
            for person_id, places in zip(record.person_ids.tolist(), record.joints[:, frames, 0], strict=True)
        ]
        if len(shots) > 1:
            parts.append(f"<h3>Shot {shot + 1}</h3>")
        parts.append(
            f"<figure>{draw_map(background, view, ways, label='ways of camera and people from above')}</figure>"
        )
    if len(shots) > len(longest):
        parts.append(f"<p class='note'>Of {len(shots)} shots the {len(longest)} longest are shown.</p>")
    parts.append(
        "<p class='note'>The first camera looks up the page. Lines are the ways of the hips of each person (with their "
        "number) and of the camera (white); dots are where they begin. The bar shows the scale.</p>"
    )
    return parts


def _charts(record: Reconstruction) -> list[str]:
    """Height of the head, distance and foot speed over time."""
    charts = (
        ("Height of the head over the ground", "m", _head_heights(record),
         "The joint at the base of the head, about 20 cm below the crown; only where the ground is known."),
        ("Distance from the camera", "m", _distances(record), "From the camera to the hips."),
        ("Speed of the slower foot", "m/s", _foot_speeds(record),
         "Near 0 while one foot stands, as in walking. If it stays above 0.3 m/s, feet slide or nobody stands."),
    )  # fmt: skip
    parts = []
    for title, unit, values, note in charts:
        if np.isfinite(values).any():
            curves = [
                Curve(name=str(person_id), colour=css_colour(person_colour(person_id)), values=row)
                for person_id, row in zip(record.person_ids.tolist(), values, strict=True)
            ]
            drawn = draw_curves(record.timestamps_s, curves, label=f"{title}, {unit}, over seconds")
            parts.append(f"<h3>{title}, {unit}</h3><figure>{drawn}</figure><p class='note'>{note}</p>")
    if not parts:
        return []
    legend = " ".join(f"{_key(person_id)}person {person_id}" for person_id in record.person_ids.tolist())
    return ["<h2>Over time</h2>", f"<p class='note'>{legend}</p>", *parts]


def _head_heights(record: Reconstruction) -> Float[ndarray, "P T"]:
    floor = record.floor[record.shot_of_frame()].astype(np.float64)
    return np.einsum("ptj,tj->pt", record.joints[:, :, _HEAD].astype(np.float64), floor[:, :3]) + floor[:, 3]


def _distances(record: Reconstruction) -> Float[ndarray, "P T"]:
    return np.linalg.norm(record.joints[:, :, 0] - record.c2w[:, :3, 3], axis=-1).astype(np.float64)


def _foot_speeds(record: Reconstruction) -> Float[ndarray, "P T"]:
    """Of the slower ankle between a frame and the one before it, m/s; NaN at the beginning of a shot."""
    speeds = np.full((record.num_people, record.num_frames), np.nan)
    if record.num_frames > 1:
        ankles = record.joints[:, :, _ANKLES].astype(np.float64)
        steps = np.linalg.norm(np.diff(ankles, axis=1), axis=-1).min(axis=-1)
        speeds[:, 1:] = steps / np.diff(record.timestamps_s)
        speeds[:, np.flatnonzero(np.diff(record.segment)) + 1] = np.nan
    return speeds


def _warnings(report: dict[str, Any]) -> str:
    if not report["warnings"]:
        return "<h2>Warnings</h2><p>None.</p>"
    items = "".join(f"<li>{html.escape(str(sentence))}</li>" for sentence in report["warnings"])
    return f"<h2>Warnings</h2><ul>{items}</ul>"


_QUALITY: tuple[tuple[str, str, int, str], ...] = (
    ("reprojection_percent", "bodies against landmarks in the picture (median, % of the box)", 2, "%"),
    ("body_to_points_cm", "body surface against the person's own points", 1, "cm"),
    ("body_to_points_before_cm", "the same before these points were brought to the body", 1, "cm"),
    ("scale_uncertainty", "relative uncertainty of the size of the scene (1 σ)", 3, ""),
    ("valid_pixels", "share of pixels with depth", 2, ""),
    ("camera_path_m", "length of the camera's way", 2, "m"),
    ("stitching_residual", "disagreement of neighbouring windows", 3, ""),
)


def _numbers(report: dict[str, Any]) -> str:
    rows = [
        f"<tr><th scope='row'>{what}</th><td>{show(report, f'quality.{key}', digits, unit)}</td></tr>"
        for key, what, digits, unit in _QUALITY
        if key in report["quality"]
    ]
    return f"<h2>Quality in numbers</h2><div class='wide'><table>{''.join(rows)}</table></div>"


def _footer(report: dict[str, Any]) -> str:
    blurred = ""
    if report["settings"].get("blur_faces"):
        blurred = (
            " Faces that were found are blurred in this page, the preview and the scene; reconstruction.npz still has "
            "the pictures as they were: do not pass it on."
        )
    version = html.escape(f"UniSH {report['versions']['unish']}, model {report['model']}")
    return (
        f"<p class='note'>{version}. The same numbers, and more, stand in report.json, whose meaning is in the "
        f"documentation of the package.{blurred}</p>"
    )


def _key(person_id: int) -> str:
    return f"<span class='key' style='background:{css_colour(person_colour(person_id))}'></span>"
