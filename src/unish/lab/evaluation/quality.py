"""The dashboard: the labelled samples by fold and the clips without truth, and whether they got better."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unish.errors import InputError
from unish.io import write_json
from unish.lab.evaluation.benchmarks.clips import MAX_FRAMES, MEDIANS, TRAINING
from unish.lab.evaluation.benchmarks.labelled import KNOWN_CAMERA, LABELLED
from unish.lab.evaluation.clip_facts import TRAINING_CLIPS
from unish.lab.evaluation.quality_lines import CLIPS, LINES, RENDERED, Line
from unish.lab.evaluation.quality_tables import make_clips_table, make_dashboard_table, make_places_table
from unish.lab.evaluation.results import Results, is_number
from unish.lab.evaluation.runner import evaluate
from unish.structs.progress import Progress

FORMAT = "unish-quality/3"
DASHBOARD_FRAMES = MAX_FRAMES
WORSE_BY_AT_MOST = 0.03
_LABELLED = "labelled"
_VIDEO = "video"
_KEPT = ("lines", "beside", "notes", "each")


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One run of both benchmarks.

    Attributes:
        header: method, fingerprint, frames per clip, versions.
        lines: value by name, of the lines that were measured.
        beside: the number that stands beside a line, by the line's name.
        notes: parts that were not measured, sequences that failed.
        each: of a line that is a median over places or over clips, the value of every one that has it.
    """

    header: dict[str, Any]
    lines: dict[str, float]
    beside: dict[str, float]
    notes: list[str]
    each: dict[str, dict[str, float]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the JSON beside its final name, then rename."""
        content = {"format": FORMAT, **self.header} | {name: getattr(self, name) for name in _KEPT}
        write_json(path, content, indent=1)

    def table(self) -> str:
        """Markdown: the two folds beside one another, then the clips."""
        return make_dashboard_table(self.lines, self.beside)

    def places(self) -> str:
        """Markdown: every place of both folds, as far as it has the columns whose medians are lines."""
        return make_places_table(self.each)


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
    folders = {_LABELLED: media / _LABELLED, CLIPS: media / _VIDEO}
    found = {name: folder for name, folder in folders.items() if folder.is_dir()}
    if not found:
        raise InputError(f"{media}: holds neither {_LABELLED}/ nor {_VIDEO}/; give the folder with the test media")
    results = {
        name: evaluate(
            name,
            data=folder,
            method=method,
            out=out / f"{name}.json",
            max_frames=frames if name == CLIPS else None,
            workers=workers,
            progress=progress,
            quiet=True,
        )
        for name, folder in found.items()
    }
    dashboard = collect_dashboard(results, method=method, frames=frames)
    dashboard.save(out / "quality.json")
    tables = [f"## {name}\n\n{result.table()}\n" for name, result in results.items()]
    places = f"## Places, fold by fold\n\n{dashboard.places()}\n"
    pages = [f"# Quality of {method}\n", f"{dashboard.table()}\n", places]
    if CLIPS in results:
        pages.append(f"## Clips, one by one\n\n{make_clips_table(results[CLIPS].sequences)}\n")
    (out / "quality.md").write_text("\n".join([*pages, *tables]))
    return dashboard


def collect_dashboard(results: Mapping[str, Results], *, method: str, frames: int) -> Dashboard:
    """The lines of finished results of ``labelled`` and ``clips``, by these names; one may be missing."""
    summary: dict[str, Any] = {}
    each: dict[str, dict[str, float]] = {}
    if _LABELLED in results:
        summary |= results[_LABELLED].summary
        each = _values_by_place(summary)
        summary |= {name: statistics.median(values.values()) for name, values in each.items()}
    if CLIPS in results:
        summary |= {f"{CLIPS}/{column}": value for column, value in results[CLIPS].summary.items()}
        each |= _values_by_clip(results[CLIPS])
    lines, beside = {}, {}
    for line in LINES:
        if is_number(summary.get(line.name)):
            lines[line.name] = float(summary[line.name])
            other = f"{line.part}/{line.beside}"
            if is_number(summary.get(other)):
                beside[line.name] = float(summary[other])
    first = next(iter(results.values())).header
    notes = [f"not measured: {name}" for name in (_LABELLED, CLIPS) if name not in results]
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
    kept = {name: values for name, values in each.items() if name in lines}
    return Dashboard(header=header, lines=lines, beside=beside, notes=notes, each=kept)


def _values_by_place(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """``A/column`` and ``B/column`` (``…_k`` where the camera was given): the value of every photographed place."""
    found: dict[str, dict[str, float]] = {}
    for part in LABELLED.parts:
        place, known = part.name.removesuffix(KNOWN_CAMERA), part.name.endswith(KNOWN_CAMERA)
        for name, value in summary.items():
            if name.startswith(f"{part.name}/") and is_number(value) and place not in RENDERED:
                line = f"{part.fold}/{name.split('/')[1]}{KNOWN_CAMERA if known else ''}"
                found.setdefault(line, {})[part.name] = float(value)
    return found


def _values_by_clip(clips: Results) -> dict[str, dict[str, float]]:
    """Of each column that is a median over clips; the training clips apart."""
    found: dict[str, dict[str, float]] = {}
    for clip, row in clips.sequences.items():
        group = TRAINING if clip in TRAINING_CLIPS else ""
        for column in MEDIANS:
            if is_number(row.get(column)):
                found.setdefault(f"{CLIPS}/{group}{column}", {})[clip] = float(row[column])
    return found


def load_dashboard(path: Path) -> Dashboard:
    """Read a ``quality.json``.

    Raises:
        InputError: missing, not such a file, or of another version, whose lines mean something else.
    """
    try:
        content = json.loads(path.read_text())
        found = content["format"]
        kept = {name: content.pop(name) for name in _KEPT if name in content}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the quality.json of an earlier run") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a quality.json; run `make quality` again") from None
    if found != FORMAT:
        raise InputError(f"{path}: format is {found!r}, this version reads {FORMAT!r}; measure the old weights again")
    if len(kept) < len(_KEPT):
        raise InputError(f"{path}: not a whole quality.json; run `make quality` again")
    return Dashboard(header={name: value for name, value in content.items() if name != "format"}, **kept)


def relative_changes(before: Dashboard, after: Dashboard) -> dict[str, float]:
    """By name of each line of ``before``: change ÷ old value, above 0 where it got worse.

    The old value counts as the line's ``resolution`` where it is smaller. Of a median over places, the mean change of
    the places: all of them count, and each the same, however large its error. Of a median over clips, the median change
    of the clips that both runs could measure: these clips differ a hundredfold, a foot that stands is found in other
    ones each time, and the median of another set of clips is another number. Infinite where ``after`` has no such
    number (or not of every place, or not of half of the clips: those that are left may be the easy ones), or where an
    old value of 0 got worse. Names that are no line of the dashboard are left out.
    """
    changes = {}
    for line in LINES:
        if not is_number(before.lines.get(line.name)):
            continue
        old, new = ({"": run.lines.get(line.name, math.nan)} for run in (before, after))
        if line.name in before.each:
            old, new = (run.each.get(line.name, {}) for run in (before, after))
        rises = [_rise(old[key], new[key], line) for key in old if math.isfinite(new.get(key, math.nan))]
        of_clips = line.part == CLIPS
        is_lost = not rises or (2 * len(rises) < len(old) if of_clips else len(rises) < len(old))
        average = statistics.median if of_clips else statistics.mean
        changes[line.name] = math.inf if is_lost else average(rises)
    return changes


def _rise(old: float, new: float, line: Line) -> float:
    before, after = line.badness(old), line.badness(new)
    size = max(abs(before), line.resolution)
    return (after - before) / size if size else math.copysign(math.inf, after - before) if after != before else 0.0


def is_better(before: Dashboard, after: Dashboard) -> bool:
    """Whether the lines of ``after`` justify that it takes the place of ``before``.

    The rule: over the lines that decide (of fold A and of the clips, see ``LINES``) and that ``before`` has, the mean
    relative change must be an improvement, and none may be worse by more than ``WORSE_BY_AT_MOST`` of its old value. A
    line that was lost counts as worse. Without any such line it is ``False``.
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
    rows = [f"  {'':46s} {'before':>9} {'after':>9} {'change':>8}"]
    for line in LINES:
        if line.name in changes:
            change, new = changes[line.name], after.lines.get(line.name, float("nan"))
            word = "same" if change == 0 else "worse" if change > 0 else "better"
            mark = "" if line.decides else ", fold B is only reported" if line.fold == "B" else ", does not decide"
            percent = -100 * change if line.higher_is_better else 100 * change
            rows.append(f"  {line.name:46s} {before.lines[line.name]:9.3g} {new:9.3g} {percent:+7.1f}%  {word}{mark}")
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
