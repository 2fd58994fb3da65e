"""``unish export``: other formats from a finished reconstruction."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unish.cli.arguments import add_quiet, frame_rate, on_or_off, output_folder, people_ids
from unish.cli.finished import read_report
from unish.errors import InputError
from unish.export.formats import FORMATS, Format
from unish.export.options import RIGS

if TYPE_CHECKING:
    from unish.body import Body
    from unish.structs import Reconstruction

NAME = "export"
SUMMARY = "write other formats from a finished reconstruction"
EXAMPLE = "unish export out/dance --to glb --to bvh --fps 30 --rig mixamo"

_OPTIONS = ("fps", "up", "gravity", "people", "rig", "in_place", "lock_feet", "per_person", "refine_cameras")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a finished `unish reconstruct`")
    formats = "; ".join(f"{name}: {kind.summary}" for name, kind in FORMATS.items())
    parser.add_argument(
        "--to", action="append", required=True, choices=FORMATS, metavar="FORMAT",
        help=f"repeat it for several. {formats}",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default DIR/export)")
    parser.add_argument(
        "--body", metavar="free|PATH", default="free", help="the body model that the reconstruction used (default free)"
    )
    add = parser.add_argument_group("what is written (defaults are those of the format)").add_argument
    unset: dict[str, Any] = {"default": argparse.SUPPRESS}
    add("--fps", type=frame_rate, metavar="source|N", help="frames per second; animation has 30 or more", **unset)
    add("--up", choices=("y", "z"), help="the axis that points up", **unset)
    add("--gravity", type=on_or_off, metavar="on|off", help="level the world, the floor at height 0", **unset)
    add("--people", type=people_ids, metavar="all|IDS", help="identities as in report.json, such as 1,3", **unset)
    add("--rig", choices=RIGS, help="names and rest pose of skeletons", **unset)
    add("--in-place", action="store_true", help="people stay over the origin", **unset)
    add(
        "--lock-feet", action=argparse.BooleanOptionalAction,
        help="feet that stand stay on one spot, whatever the result says (default: with every rig but smpl)", **unset,
    )  # fmt: skip
    add("--per-person", action="store_true", help="a file for each person", **unset)
    add(
        "--refine-cameras", type=on_or_off, metavar="on|off",
        help="colmap: adjust cameras to its points (default on; off for those given as --cameras)", **unset,
    )  # fmt: skip
    parser.add_argument(
        "--blur-faces", action="store_true", help="blur the faces of the people that were found, in pictures and points"
    )
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise InputError(f"{args.folder}: no such folder; give the --out folder of `unish reconstruct`")
    with output_folder(args.out or args.folder / "export") as out:
        from unish.body import load_body
        from unish.export.faces import blur_faces
        from unish.structs import Reconstruction

        reconstruction = Reconstruction.load(args.folder)
        settings = read_report(args.folder).get("settings", {})
        if args.blur_faces or settings.get("blur_faces"):
            reconstruction = blur_faces(reconstruction)
        body = load_body(args.body)
        if body.name != reconstruction.body_model:
            raise InputError(f"the reconstruction has the body {reconstruction.body_model}; give its file as --body")
        asked = {name: getattr(args, name) for name in _OPTIONS if hasattr(args, name)}
        names = list(dict.fromkeys(args.to))
        asked_of = dict.fromkeys(names, asked)
        if "colmap" in names and settings.get("cameras") is not None and not settings.get("refine_cameras"):
            asked_of["colmap"] = {"refine_cameras": False} | asked  # what was known stays, here too
        _write(out, asked_of, reconstruction, body, quiet=args.quiet)


def _write(
    out: Path, asked_of: dict[str, dict[str, Any]], reconstruction: Reconstruction, body: Body, *, quiet: bool
) -> None:
    """All formats, with the options that were asked of each; none where one fails."""
    from unish.export.sidecar import FILE, write_sidecar
    from unish.io import replaced_whole

    # What is missing is said before the work begins.
    for name in asked_of:
        FORMATS[name].load()
    with replaced_whole(out) as work:
        written = {
            name: _write_format(work.making, name, asked, reconstruction, body) for name, asked in asked_of.items()
        }
        write_sidecar(work.making, written, reconstruction, body, earlier=out / FILE)
    if quiet:
        return
    told: dict[str, list[str]] = {}
    for name, entries in written.items():
        for entry in entries:
            print(*(out / file for file in entry["files"]), sep="\n")
            for note in entry["notes"]:
                told.setdefault(note, []).append(name)
    print(out / FILE)
    for note, kinds in told.items():
        print(f"{', '.join(dict.fromkeys(kinds))}: {note}")


def _write_format(
    folder: Path, name: str, asked: dict[str, Any], reconstruction: Reconstruction, body: Body
) -> list[dict[str, Any]]:
    """The files of one format, and what ``export.json`` says about those of each shot."""
    from dataclasses import replace

    kind = FORMATS[name]
    options, useless = kind.choose(asked)
    left_out = [f"--{option.replace('_', '-')} means nothing to {name} and was left out." for option in useless]
    entries = []
    for shot in _choose_shots(name, kind, reconstruction):
        several = reconstruction.num_shots > 1 and not kind.all_shots
        place = folder / f"shot-{shot}" if several else folder
        place.mkdir(exist_ok=True)
        facts = kind.load()(place / kind.file, reconstruction, body, replace(options, shot=shot))
        target = place / kind.file
        if "files" in facts:
            files = [place / name for name in facts["files"]]
        else:
            files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
        entries.append(
            facts
            | {"files": [path.relative_to(folder).as_posix() for path in files]}
            | {"notes": [*facts.get("notes", []), *left_out]}
        )
    return entries


def _choose_shots(name: str, kind: Format, reconstruction: Reconstruction) -> list[int]:
    """Those to write one by one; for people, those that show somebody."""
    if not kind.of_people:
        return [0] if kind.all_shots else list(range(reconstruction.num_shots))
    shown = (reconstruction.person_valid | reconstruction.person_filled).any(axis=0)
    shots = [shot for shot, frames in enumerate(reconstruction.shot_frames()) if shown[frames].any()]
    if not shots:
        raise InputError(f"{name} holds people, and nobody was found in this reconstruction; use --to ply or glb")
    return shots
