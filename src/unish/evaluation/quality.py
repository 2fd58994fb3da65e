"""The dashboard: the labelled samples and the clips without truth as some thirty lines, and whether they got better."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unish.errors import InputError
from unish.evaluation.results import Results
from unish.evaluation.runner import evaluate
from unish.io import write_json
from unish.structs.progress import Progress

FORMAT = "unish-quality/2"
DASHBOARD_FRAMES = 12
WORSE_BY_AT_MOST = 0.03
_LABELLED, _CLIPS = "labelled", "clips"
_VIDEO = "video"
_COUNT = "people"
_KEPT = ("lines", "beside", "notes", "by_clip")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One number of the dashboard.

    Attributes:
        name: ``part/column`` of the summary of ``labelled``, or ``clips/column``.
        beside: the column of the same part that stands beside it: what needs no network, or what cannot be beaten.
        higher_is_better: otherwise lower is.
        decides: whether ``is_better`` looks at it.
    """

    name: str
    beside: str | None = None
    higher_is_better: bool = False
    decides: bool = True


# What does not decide: rendered pictures (pi3_room), a single picture (kitti), six pairs whose direction is guessed as
# well by chance, what is the detector's alone (shares, masks), and what a worse result can lower (jitter, and distances
# from a floor that was itself found by the feet).
LINES = (
    Line(name="7scenes/depth_abs_rel", beside="row_prior_abs_rel"),
    Line(name="7scenes/depth_abs_rel_metric", beside="row_prior_abs_rel_metric"),
    Line(name="7scenes/camera_turn_error_deg", beside="identity_turn_error_deg"),
    Line(name="7scenes_far/depth_abs_rel", beside="row_prior_abs_rel"),
    Line(name="7scenes_far/camera_turn_error_deg", beside="identity_turn_error_deg"),
    Line(name="slambook2/depth_abs_rel", beside="row_prior_abs_rel"),
    Line(name="slambook2/camera_turn_error_deg", beside="identity_turn_error_deg"),
    Line(name="pi3_room/depth_abs_rel", beside="constant_abs_rel", decides=False),
    Line(name="pi3_room/camera_ate_m", beside="static_ate_m", decides=False),
    Line(name="scannet_pairs/turn_error_deg", beside="identity_turn_error_deg"),
    Line(name="scannet_pairs/direction_error_deg", decides=False),
    Line(name="scannet_pairs_k/turn_error_deg", beside="identity_turn_error_deg"),
    Line(name="kitti/depth_abs_rel", beside="row_prior_abs_rel", decides=False),
    Line(name="h36m/mpjpe_mm"),
    Line(name="h36m/pa_mpjpe_mm", beside="rest_pose_pa_mpjpe_mm"),
    Line(name="h36m/pelvis_distance_error_percent"),
    Line(name="pose2sim/mpjpe_mm"),
    Line(name="pose2sim/pa_mpjpe_mm"),
    Line(name="pose2sim/pelvis_distance_error_percent"),
    Line(name="coco/joint_error_percent", beside="landmark_error_percent"),
    Line(name="coco/people_found_share", higher_is_better=True, decides=False),
    Line(name="crowdpose/joint_error_percent", beside="landmark_error_percent"),
    Line(name="davis_masks/mask_inside_share", higher_is_better=True, decides=False),
    Line(name="clips/reprojection_percent"),
    Line(name="clips/body_to_points_before_cm", beside="body_to_points_cm"),
    Line(name="clips/foot_sliding_cm_s"),
    Line(name="clips/foot_to_floor_cm", decides=False),
    Line(name="clips/jitter", decides=False),
    Line(name=f"{_CLIPS}/{_COUNT}", higher_is_better=True, decides=False),
)


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One run of both benchmarks.

    Attributes:
        header: method, fingerprint, frames per clip, versions.
        lines: value by name, of the lines that were measured.
        beside: the number that stands beside a line, by the line's name.
        notes: parts that were not measured, sequences that failed.
        by_clip: of a line that is a median over clips, the value of every clip that has one.
    """

    header: dict[str, Any]
    lines: dict[str, float]
    beside: dict[str, float]
    notes: list[str]
    by_clip: dict[str, dict[str, float]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the JSON beside its final name, then rename."""
        content = {"format": FORMAT, **self.header} | {name: getattr(self, name) for name in _KEPT}
        write_json(path, content, indent=1)

    def table(self) -> str:
        """Markdown: every line that was measured, and what stands beside it."""
        rows = ["| line | value | beside it |", "|---|---|---|"]
        for line in LINES:
            if line.name in self.lines:
                other = self.beside.get(line.name)
                note = "" if other is None else f"{other:.3g} ({line.beside})"
                rows.append(f"| {line.name} | {self.lines[line.name]:.3g} | {note} |")
        return "\n".join(rows)


def measure_dashboard(
    media: Path,
    *,
    method: str,
    out: Path,
    frames: int = DASHBOARD_FRAMES,
    workers: int = 1,
    progress: Progress | None = None,
) -> Dashboard:
    """Run ``labelled`` and ``clips`` and write ``labelled.json``, ``clips.json``, ``quality.json``, ``quality.md``.

    A run that was cut short goes on where it stopped.

    Args:
        media: holds ``labelled/`` and ``video/``; one of them may be missing.
        method: see ``evaluate``.
        out: an existing folder.
        frames: of each clip. The labelled samples are always measured in full.

    Raises:
        InputError: neither folder is there, or the method cannot be loaded.
    """
    folders = {_LABELLED: media / _LABELLED, _CLIPS: media / _VIDEO}
    found = {name: folder for name, folder in folders.items() if folder.is_dir()}
    if not found:
        raise InputError(f"{media}: holds neither {_LABELLED}/ nor {_VIDEO}/; give the folder with the test media")
    results = {
        name: evaluate(
            name,
            data=folder,
            method=method,
            out=out / f"{name}.json",
            max_frames=frames if name == _CLIPS else None,
            workers=workers,
            progress=progress,
            quiet=True,
        )
        for name, folder in found.items()
    }
    dashboard = _collect(results, method=method, frames=frames)
    dashboard.save(out / "quality.json")
    tables = [f"## {name}\n\n{result.table()}\n" for name, result in results.items()]
    (out / "quality.md").write_text("\n".join([f"# Quality of {method}\n", dashboard.table() + "\n", *tables]))
    return dashboard


def _collect(results: Mapping[str, Results], *, method: str, frames: int) -> Dashboard:
    summary: dict[str, Any] = {}
    if _LABELLED in results:
        summary |= results[_LABELLED].summary
    if _CLIPS in results:
        summary |= {f"{_CLIPS}/{column}": value for column, value in results[_CLIPS].summary.items()}
    lines, beside = {}, {}
    for line in LINES:
        if _is_finite(summary.get(line.name)):
            lines[line.name] = float(summary[line.name])
            other = f"{line.name.split('/')[0]}/{line.beside}"
            if _is_finite(summary.get(other)):
                beside[line.name] = float(summary[other])
    first = next(iter(results.values())).header
    notes = [f"not measured: {name}" for name in (_LABELLED, _CLIPS) if name not in results]
    notes += [f"not measured: {name}" for name in summary.get("not_measured", [])]
    notes += [
        f"failed: {name}: {row['error']}"
        for result in results.values()
        for name, row in result.sequences.items()
        if "error" in row
    ]
    header = {
        "method": method,
        "fingerprint": first["fingerprint"],
        "frames": frames,
        "versions": first["versions"],
        "sequences": {name: len(result.sequences) for name, result in results.items()},
    }
    by_clip = _values_by_clip(results[_CLIPS], lines) if _CLIPS in results else {}
    return Dashboard(header=header, lines=lines, beside=beside, notes=notes, by_clip=by_clip)


def _values_by_clip(clips: Results, lines: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Of each line of ``clips``; none for a count, which no single clip has."""
    found = {}
    for name in lines:
        part, column = name.split("/")
        if part == _CLIPS and column != _COUNT:
            rows = clips.sequences.items()
            found[name] = {clip: float(row[column]) for clip, row in rows if _is_finite(row.get(column))}
    return found


def load_dashboard(path: Path) -> Dashboard:
    """Read a ``quality.json``.

    Raises:
        InputError: missing, or not such a file.
    """
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise InputError(f"{path}: format is {content['format']!r}, this version reads {FORMAT!r}")
        kept = {name: content.pop(name) for name in _KEPT}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the quality.json of an earlier run") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a quality.json; run `make quality` again") from None
    return Dashboard(header={name: value for name, value in content.items() if name != "format"}, **kept)


def relative_changes(before: Dashboard, after: Dashboard) -> dict[str, float]:
    """By name of each line of ``before``: change ÷ old value, above 0 where it got worse.

    Of a line that is a median over clips, the median change of the clips that both runs could measure: these clips
    differ a hundredfold, a foot that stands is found in other ones each time, and the median of another set of clips is
    another number. Infinite where ``after`` has no such number (or not of half of the clips: those that are left may be
    the easy ones), or where the old value was 0 and the new one is worse. Names that are no line of the dashboard are
    left out.
    """
    changes = {}
    for line in LINES:
        if not _is_finite(before.lines.get(line.name)):
            continue
        old, new = ({"": run.lines.get(line.name, math.nan)} for run in (before, after))
        if line.name in before.by_clip:
            old, new = (run.by_clip.get(line.name, {}) for run in (before, after))
        pairs = [(old[key], new[key]) for key in old if math.isfinite(new.get(key, math.nan))]
        is_lost = not pairs or 2 * len(pairs) < len(old)
        changes[line.name] = math.inf if is_lost else statistics.median(_rise(*pair, line) for pair in pairs)
    return changes


def _rise(old: float, new: float, line: Line) -> float:
    worse = (old - new) if line.higher_is_better else (new - old)
    return worse / abs(old) if old else math.copysign(math.inf, worse) if worse else 0.0


def is_better(before: Dashboard, after: Dashboard) -> bool:
    """Whether the lines of ``after`` justify that it takes the place of ``before``.

    The rule: over the lines that decide (real pictures that the weights have a say in, see ``LINES``) and that
    ``before`` has, the mean relative change must be an improvement, and none may be worse by more than
    ``WORSE_BY_AT_MOST`` of its old value. A line that was lost counts as worse. Without any such line it is ``False``.
    """
    decisive = {line.name for line in LINES if line.decides}
    changes = [change for name, change in relative_changes(before, after).items() if name in decisive]
    if not changes or max(changes) > WORSE_BY_AT_MOST:
        return False
    return sum(changes) / len(changes) < 0


def comparison_lines(before: Dashboard, after: Dashboard) -> list[str]:
    """Text: every line of ``before`` with its new value, change in per cent and a word; then what ``is_better`` says.

    Raises:
        InputError: the two are of other frames or other sequences.
    """
    check_same(before, "frames", after.header["frames"])
    check_same(before, "sequences", after.header["sequences"])
    changes = relative_changes(before, after)
    rows = [f"  {'':40s} {'before':>9} {'after':>9} {'change':>8}"]
    for line in LINES:
        if line.name in changes:
            change, new = changes[line.name], after.lines.get(line.name, float("nan"))
            word = "same" if change == 0 else "worse" if change > 0 else "better"
            mark = "" if line.decides else ", does not decide"
            percent = -100 * change if line.higher_is_better else 100 * change
            rows.append(f"  {line.name:40s} {before.lines[line.name]:9.3g} {new:9.3g} {percent:+7.1f}%  {word}{mark}")
    rows += [f"  {note}" for note in after.notes]
    rule = f"no deciding line worse by more than {100 * WORSE_BY_AT_MOST:.0f} %, and better on average"
    word = "better" if is_better(before, after) else "not better"
    return [*rows, "", f"{word} than {before.header['fingerprint']} ({rule})"]


def check_same(before: Dashboard, name: str, now: object) -> None:
    """Numbers of other clips, other frames or other samples are not compared.

    Raises:
        InputError: this part of the header of ``before`` is not as ``now``.
    """
    if before.header.get(name) != now:
        raise InputError(f"the old run has other {name} ({before.header.get(name)}, now {now}); measure it again")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
