"""``unish doctor``: what is installed, what is missing, and what each missing thing is needed for."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil

from unish.cli.terminal import print_table

NAME = "doctor"
SUMMARY = "show what is installed, what is missing and what it is needed for"
EXAMPLE = "unish doctor"

_EXTRAS = {
    "moderngl": ("render", "fast rendering of synthetic clips (the plain renderer works without it)"),
    "accelerate": ("train", "training, on one or many processors"),
    "tensorboard": ("train", "curves of training runs (metrics.jsonl is written without it)"),
    "opencv-python-headless": ("flow", "training on real video without truth, whose optical flow it measures"),
    "pi-heif": ("heif", "pictures in HEIC and HEIF"),
    "matplotlib": ("report", "the charts of `unish evaluate report` (tables are made without it)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(args: argparse.Namespace) -> None:
    rows = [["python", platform.python_version(), "everything"], ["unish", _installed("unish"), "everything"]]
    rows += [[name, _installed(name), "everything"] for name in _core_packages()]
    rows += [[name, _installed(name), f"{use}; pip install 'unish[{extra}]'"] for name, (extra, use) in _EXTRAS.items()]
    rows.append(["npm", shutil.which("npm") or "missing", "fetching blazepose-heavy only"])
    rows += [_graphics(), _cuda(), *_assets()]
    print_table(rows, ["what", "found", "needed for"])


def _core_packages() -> list[str]:
    required = importlib.metadata.requires("unish") or []
    return [line.split(">")[0].split("=")[0].strip() for line in required if "extra ==" not in line]


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


def _cuda() -> list[str]:
    import torch

    found = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none, the CPU is used"
    return ["CUDA", found, "speed"]


def _assets() -> list[list[str]]:
    from unish import assets

    return [
        [asset.name, "in the cache" if assets.is_present(asset.name) else "not fetched yet", asset.used_for]
        for asset in assets.ASSETS.values()
    ]
