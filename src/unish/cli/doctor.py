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
    "starlette": ("app", "`unish app`, the page to drop a video on"),
    "uvicorn": ("app", "the web server of the same"),
    "opencv-python-headless": ("camera", "`unish reconstruct --camera N`"),
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


def _core_packages() -> list[str]:
    required = importlib.metadata.requires("unish") or []
    # Such as "torch<3,>=2.6": everything behind the name comes in any order.
    return [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


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
