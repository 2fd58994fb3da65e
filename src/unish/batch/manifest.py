"""Which videos: a csv or jsonl table, a list of paths, a pattern, a folder, or the videos themselves."""

from __future__ import annotations

import csv
import glob
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unish.errors import InputError
from unish.values import shorten

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
     ".ogv", ".mxf", ".gif", ".h264", ".hevc")
)  # fmt: skip
"""What counts as a video in a folder; a video that is named itself may be called anything."""
_TABLES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "list", ".lst": "list"}
_MAX_NAME_BYTES = 200
"""Of the folder of a result: most file systems take 255."""
_NOT_IN_NAMES = frozenset('/\\:*?"<>|') | {chr(code) for code in range(32)}
"""What no folder may be called on one system or another."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One video of a batch.

    Attributes:
        input: video file, folder of images, or one image.
        name: of the folder of its result.
        settings: as they were written, by their names (those of ``unish.settings.Settings``).
    """

    input: Path
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_manifests(sources: Sequence[str]) -> list[Row]:
    """All rows of what was given, each name once.

    A csv file has a header with the column ``input``, and may have ``name`` and settings; a cell that is empty is not
    given. A jsonl file has one object of the same keys on each line; any other list one path on each line. Paths in a
    file count from its folder. A folder stands for the videos and the folders of images that are directly in it. A name
    that is not given is that of the input without its ending; where several inputs are called the same, it also holds
    the folders in which they differ.

    Raises:
        InputError: nothing is found, a file cannot be read as what it is called, or two results have one name.
    """
    rows = [row for source in sources for row in _read(source)]
    if not rows:
        raise InputError(f"{' '.join(sources)}: there is no video in it; give a list, a folder or a pattern of videos")
    rows = _name(rows)
    for row in rows:
        _check_name(row.name)
    # File systems of Windows and macOS take names that differ in case alone for one.
    counted = Counter(row.name.casefold() for row in rows)
    for row in rows:
        if counted[row.name.casefold()] > 1:
            raise InputError(f"two results would be called {row.name}; give each row a name of its own")
    return rows


def _read(source: str) -> Iterator[Row]:
    path = Path(source)
    if path.is_dir():
        yield from _folder(path)
    elif not path.exists() and glob.has_magic(source):
        yield from (_row(Path(found)) for found in sorted(glob.glob(source, recursive=True)))  # noqa: PTH207  # also absolute ones
    elif (kind := _TABLES.get(path.suffix.lower())) is not None:
        yield from _TABLE_READERS[kind](path, _lines(path))
    else:
        yield _row(path)


def _folder(folder: Path) -> Iterator[Row]:
    from unish.video.sources.photos import IMAGE_SUFFIXES

    def holds_pictures(path: Path) -> bool:
        return path.is_dir() and any(one.suffix.lower() in IMAGE_SUFFIXES for one in path.iterdir())

    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES) or holds_pictures(path):
            yield _row(path)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no UTF-8 text; give a csv, jsonl or text file of videos") from None
    return text.splitlines(keepends=True)


def _read_csv(path: Path, lines: list[str]) -> Iterator[Row]:
    reader = csv.DictReader(lines, restkey="", strict=True, skipinitialspace=True)
    try:
        if "input" not in (reader.fieldnames or ()):
            raise InputError(f"{path}: its first line names no column 'input'; give input,name and settings as columns")
        for record in reader:
            if "" in record:
                raise InputError(f"{path}: line {reader.line_num} has more cells than the first line has columns")
            given = {key.strip(): value.strip() for key, value in record.items() if value and value.strip()}
            yield _from_record(path, reader.line_num, given)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is no csv ({error}); correct it") from None


def _read_jsonl(path: Path, lines: list[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(f'{path}: line {number} is no JSON object; write {{"input": …}} on each line')
        yield _from_record(path, number, {key: value for key, value in record.items() if value is not None})


def _read_list(path: Path, lines: list[str]) -> Iterator[Row]:
    for line in lines:
        if line.strip():
            yield _row(_from_folder(path.parent, line.strip()))


_TABLE_READERS = {"csv": _read_csv, "jsonl": _read_jsonl, "list": _read_list}


def _from_record(path: Path, number: int, record: dict[str, Any]) -> Row:
    where, name = record.pop("input", None), record.pop("name", "")
    if not isinstance(where, str) or not where or "\0" in where:
        raise InputError(f"{path}: line {number} has no input; give the path of a video in each row")
    if not isinstance(name, str):
        raise InputError(f"{path}: in line {number} the name is {shorten(name)}; give a text")
    settings = {key.replace("-", "_"): value for key, value in record.items()}
    return Row(input=_from_folder(path.parent, where), name=name, settings=settings)


def _from_folder(folder: Path, where: str) -> Path:
    """An address stays one, so that the reader of videos can say that it takes none."""
    return Path(where) if "://" in where else folder / where


def _row(path: Path) -> Row:
    return Row(input=path, name="")


def _name(rows: list[Row]) -> list[Row]:
    """With a name for each row that has none."""
    stems = [row.name or (row.input.name if row.input.is_dir() else row.input.stem) for row in rows]
    counted = Counter(stem.casefold() for stem in stems)
    clashing = [row.input.absolute() for row, stem in zip(rows, stems, strict=True) if _clashes(row, stem, counted)]
    base = Path(os.path.commonpath([path.parent for path in clashing])) if clashing else Path()
    return [
        replace(row, name=_with_folders(row.input, stem, base) if _clashes(row, stem, counted) else stem)
        for row, stem in zip(rows, stems, strict=True)
    ]


def _clashes(row: Row, stem: str, counted: Counter[str]) -> bool:
    return not row.name and counted[stem.casefold()] > 1


def _with_folders(path: Path, stem: str, base: Path) -> str:
    return "-".join([*path.absolute().parent.relative_to(base).parts, stem])


def _check_name(name: str) -> None:
    if not name.strip(" .") or name.startswith(".") or set(name) & _NOT_IN_NAMES or name.endswith((" ", ".")):
        raise InputError(f"a result cannot be called {shorten(name)}; give its row a plain name, as folders have")
    if len(name.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
        raise InputError(f"the name {shorten(name)} is too long; give its row a shorter one")
