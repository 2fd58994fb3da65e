"""``unish view``: a finished reconstruction in the browser, or as one page to pass on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unish.cli.arguments import add_quiet, at_least, output_folder
from unish.cli.finished import read_report
from unish.errors import InputError

if TYPE_CHECKING:
    from unish.edits import Edit
    from unish.structs import Reconstruction
    from unish.structs.progress import Progress
    from unish.viewer.editing import EditList

NAME = "view"
SUMMARY = "look at a finished reconstruction in the browser, or make one page of it to pass on"
EXAMPLE = "unish view out/dance --static dance.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a finished `unish reconstruct`")
    parser.add_argument(
        "--static", type=Path, metavar="FILE.html", help="write one self-contained page instead of opening a server"
    )
    parser.add_argument(
        "--fly-through", type=Path, metavar="FILE.mp4", help="write a film of a camera that flies through the scene"
    )
    parser.add_argument(
        "--flight", choices=("rise", "orbit", "follow"),
        help="of --fly-through: from the film's camera to above (default), around people, or along with a person",
    )  # fmt: skip
    parser.add_argument(
        "--follow", type=at_least(0), metavar="ID", help="whom --flight follow follows (default: who is seen longest)"
    )
    parser.add_argument("--title", metavar="TEXT", help="of the page and the window (default: the name of the video)")
    parser.add_argument(
        "--credit", default="", metavar="TEXT", help="line about who owns the pictures, for the page of --static"
    )
    parser.add_argument("--blur-faces", action="store_true", help="blur the faces of the people that were found")
    parser.add_argument(
        "--port", type=at_least(0), default=0, metavar="N", help="of the server (default: one that is free)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address, open no browser")
    parser.add_argument("--no-edits", action="store_true", help="offer no corrections in the panel of the viewer")
    parser.add_argument(
        "--body", metavar="free|PATH", default="free", help="the body model that the reconstruction used (default free)"
    )
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise InputError(f"{args.folder}: no such folder; give the --out folder of `unish reconstruct`")
    if args.flight is not None and args.fly_through is None:
        raise InputError("--flight says how --fly-through flies; add --fly-through FILE.mp4")
    if args.follow is not None and (args.fly_through is None or args.flight != "follow"):
        raise InputError("--follow says whom a flight follows; add --fly-through FILE.mp4 --flight follow")
    if args.fly_through is not None:
        _fly_through(args)
    if args.static is not None:
        _write_page(args)
    if args.fly_through is None and args.static is None:
        _serve(args)


def _fly_through(args: argparse.Namespace) -> None:
    if args.fly_through.suffix.lower() != ".mp4":
        raise InputError(f"{args.fly_through}: give a name that ends in .mp4")
    with output_folder(args.fly_through.parent):
        from unish.cli.progress import make_progress
        from unish.viewer.fly_through import write_fly_through

        reconstruction, body, report = _read(args)
        progress = make_progress(quiet=args.quiet)
        try:
            write_fly_through(
                args.fly_through, reconstruction, body, kind=args.flight or "rise", person_id=args.follow,
                report=report, progress=progress,
            )  # fmt: skip
        finally:
            progress.close()
        _announce(args, args.fly_through)


def _write_page(args: argparse.Namespace) -> None:
    if args.static.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{args.static}: give a name that ends in .html")
    with output_folder(args.static.parent):
        from unish.viewer.page import write_static_page

        reconstruction, body, report = _read(args)
        announce = (lambda sentence: None) if args.quiet else print
        write_static_page(
            args.static, reconstruction, body, title=_title(args, report), report=report, credit=args.credit,
            announce=announce,
        )  # fmt: skip
        _announce(args, args.static)


def _announce(args: argparse.Namespace, path: Path) -> None:
    if not args.quiet:
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def _serve(args: argparse.Namespace) -> None:
    from unish.passes import OBSERVATIONS, can_be_edited
    from unish.viewer.live import serve

    reconstruction, body, report = _read(args)
    # Results of earlier versions, and those without their observations, can be looked at but not corrected.
    editable = not args.no_edits and can_be_edited(args.folder / OBSERVATIONS, report.get("observations"))
    serve(
        reconstruction, body, title=_title(args, report), report=report, port=args.port,
        open_browser=not args.no_browser, edits=_read_edits(report) if editable else None,
        apply=(lambda edits, progress: _apply(args, edits, progress)) if editable else None, announce=print,
    )  # fmt: skip


def _read_edits(report: Mapping[str, Any]) -> EditList:
    from unish.edits import FORMAT, parse_edits
    from unish.viewer.editing import EditList

    return EditList(applied=parse_edits({"format": FORMAT, "edits": report.get("edits", [])}))


def _apply(
    args: argparse.Namespace, edits: Sequence[Edit], progress: Progress
) -> tuple[Reconstruction, dict[str, Any]]:
    """Bring the folder to these edits, as ``unish refine`` does; report.json then lists them."""
    from unish.refinement import refine

    refine(args.folder, edits, progress=progress)
    reconstruction, _, report = _read(args)
    return reconstruction, report


def _read(args: argparse.Namespace) -> tuple[Any, Any, dict[str, Any]]:
    """The reconstruction as it is to be shown, the body that poses it, and report.json, empty where there is none."""
    from unish.body import load_body
    from unish.export.faces import blur_faces
    from unish.structs import Reconstruction

    reconstruction = Reconstruction.load(args.folder)
    report = read_report(args.folder)
    if args.blur_faces or report.get("settings", {}).get("blur_faces"):
        reconstruction = blur_faces(reconstruction)
    return reconstruction, load_body(args.body), report


def _title(args: argparse.Namespace, report: dict[str, Any]) -> str:
    from unish.export.report_page import name_of_video

    return args.title or name_of_video(report) or args.folder.resolve().name
