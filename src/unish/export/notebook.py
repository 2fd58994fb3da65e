"""A result as a cell of a notebook shows it: pictures with their depth, and tables of its people and shots."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from unish.export.report_charts import css_colour, jpeg_url
from unish.io import to_json_values
from unish.render.colours import depth_colours, depth_range, person_colour
from unish.structs import Reconstruction

_THUMBNAILS, _THUMBNAIL_SIDE = 6, 192
_MAX_ROWS, _MAX_CHARACTERS = 20, 240
"""Of a table, and of a cell of it: a notebook keeps what it shows."""


def describe_for_notebook(reconstruction: Reconstruction) -> str:
    """HTML of at most some 200 kB: a headline, some frames above their depth, people, shots.

    Numbers and verdicts of ``report.json`` are shown where ``reconstruction.report`` has them.
    """
    report: dict[str, Any] = to_json_values(reconstruction.report or {})
    parts = [_headline(reconstruction), _strip(reconstruction), _people(reconstruction, report.get("people", []))]
    parts += [_shots(reconstruction, report.get("shots", [])), _warnings(report.get("warnings", []))]
    return f"<div style='font-size: 90%'>{''.join(parts)}</div>"


def _headline(record: Reconstruction) -> str:
    height, width = record.image_size.tolist()
    span = record.timestamps_s[-1] - record.timestamps_s[0]
    num_dense = len(record.dense_frames)
    dense = "" if num_dense == record.num_frames else f", {num_dense} of them with depth"
    model, body = (html.escape(_shorten(name)) for name in (record.model, record.body_model))
    return (
        f"<p><b>Reconstruction</b>: {record.num_frames} frames over {span:.1f} s{dense}, {width}×{height} pixels; "
        f"{record.num_people} {'person' if record.num_people == 1 else 'people'}, {record.num_shots} "
        f"{'shot' if record.num_shots == 1 else 'shots'}; model {model}, body {body}</p>"
    )


def _strip(record: Reconstruction) -> str:
    """Some frames, evenly spread, each above its depth: near is warm, far is cold."""
    count = len(record.dense_frames)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _THUMBNAILS)).round().astype(int)).tolist()
    near, far = depth_range(record.depth)
    figures = []
    for frame in chosen:
        depth = depth_colours(np.asarray(record.depth[frame]), near, far)
        both = np.concatenate([_shrink(np.asarray(record.images[frame])), _shrink(depth)])
        time = f"{record.timestamps_s[record.dense_frames[frame]]:.2f} s"
        figures.append(
            f"<figure style='margin: 0'><img src='{jpeg_url(both, quality=70)}' alt='frame at {time} above its depth'>"
            f"<figcaption>{time}</figcaption></figure>"
        )
    return f"<div style='display: flex; gap: 6px; overflow-x: auto'>{''.join(figures)}</div>"


def _shrink(picture: UInt8[ndarray, "H W 3"]) -> UInt8[ndarray, "h w 3"]:
    small = Image.fromarray(picture)
    small.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    return np.asarray(small)


def _people(record: Reconstruction, told: Sequence[Mapping[str, Any]]) -> str:
    by_id = {person["id"]: person for person in told}
    rows = []
    for index, person_id in enumerate(record.person_ids.tolist()[:_MAX_ROWS]):
        seen = record.person_valid[index]
        said = by_id.get(person_id, {})
        colour = css_colour(person_colour(person_id))
        rows.append(
            [
                f"<span style='color: {colour}'>●</span> {person_id}",
                f"{int(seen.sum())} of {record.num_frames}",
                _distance(record, index),
                _number(said.get("height_m"), "m"),
                *_verdict(said),
            ]
        )
    header = ["person", "frames", "distance", "height", "verdict", "why"]
    return _table(header, rows, record.num_people)


def _distance(record: Reconstruction, index: int) -> str:
    """Median distance from the camera to the pelvis."""
    seen = record.person_valid[index]
    apart = np.linalg.norm(record.joints[index, seen, 0] - record.c2w[seen, :3, 3], axis=-1)
    return f"{np.median(apart):.1f} m" if len(apart) else "unknown"


def _shots(record: Reconstruction, told: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for index, part in enumerate(record.shot_frames()[:_MAX_ROWS]):
        said = told[index] if index < len(told) else {}
        centres = record.c2w[part, :3, 3]
        path = float(np.linalg.norm(np.diff(centres, axis=0), axis=-1).sum())
        known = [name for name in ("gravity", "floor") if np.isfinite(getattr(record, name)[index]).all()]
        rows.append(
            [
                str(index),
                f"{record.timestamps_s[part.start]:.1f}–{record.timestamps_s[part.stop - 1]:.1f} s",
                f"{path:.2f} m",
                " and ".join(known) or "neither",
                *_verdict(said),
            ]
        )
    return _table(["shot", "time", "camera path", "gravity, floor", "verdict", "why"], rows, record.num_shots)


def _verdict(said: Mapping[str, Any]) -> list[str]:
    reasons = "; ".join(map(str, said.get("reasons", [])))
    return [html.escape(str(said.get("verdict", "unknown"))), html.escape(_shorten(reasons))]


def _warnings(warnings: Sequence[str]) -> str:
    lines = "".join(f"<li>{html.escape(_shorten(line))}</li>" for line in warnings[:_MAX_ROWS])
    count = len(warnings)
    title = "1 warning" if count == 1 else f"{count} warnings"
    return f"<details><summary>{title}</summary><ul>{lines}</ul></details>" if lines else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], total: int) -> str:
    """Nothing without rows; how many there are where not all are shown."""
    body = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    if not body:
        return ""
    more = f"<caption>the first {len(body)} of {total}</caption>" if total > len(body) else ""
    titles = "".join(f"<th style='text-align: left'>{title}</th>" for title in header)
    return f"<table>{more}<thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(text: str) -> str:
    return f"<td style='text-align: left'>{text}</td>"


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.2f} {unit}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
