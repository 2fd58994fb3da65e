"""``unish export``: other formats from a finished reconstruction."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet, output_folder
from unish.cli.finished import read_report
from unish.errors import InputError
from unish.export.formats import FORMATS

NAME = "export"
SUMMARY = "write other formats from a finished reconstruction"
EXAMPLE = "unish export out/dance --to glb --to ply"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a finished `unish reconstruct`")
    parser.add_argument(
        "--to",
        action="append",
        required=True,
        choices=FORMATS,
        metavar="FORMAT",
        help=f"{' or '.join(FORMATS)}; repeat it for several",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default DIR/export)")
    parser.add_argument(
        "--body", metavar="free|PATH", default="free", help="the body model that the reconstruction used (default free)"
    )
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
        if args.blur_faces or read_report(args.folder).get("settings", {}).get("blur_faces"):
            reconstruction = blur_faces(reconstruction)
        body = load_body(args.body)
        for name in dict.fromkeys(args.to):
            path = out / FORMATS[name].file
            FORMATS[name].load()(path, reconstruction, body)
            if not args.quiet:
                print(path)
