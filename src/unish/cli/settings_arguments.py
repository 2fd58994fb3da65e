"""Options of commands that reconstruct: one for each field of ``Settings`` that a command line can give."""

from __future__ import annotations

import argparse

from unish.cli.arguments import (
    CollectPairs,
    at_least,
    everyone_or_count,
    existing_file,
    existing_path,
    intrinsics,
    known_distance,
    on_or_off,
    person_height,
    place_at,
    positive_float,
    seconds,
)
from unish.cli.expert_arguments import add_experts
from unish.settings import CAMERA_UNITS, DEVICES

# Options that are not given stay out of the namespace: their defaults live in unish.settings.Settings alone.
_UNSET = argparse.SUPPRESS


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The fields of ``Settings`` as options."""
    _add_frames(parser)
    _add_network(parser)
    _add_people(parser)
    _add_known(parser)
    add_experts(parser)
    parser.add_argument(
        "--blur-faces",
        action="store_true",
        default=_UNSET,
        help="blur the faces of the people that are found, in all files but reconstruction.npz",
    )
    parser.add_argument(
        "--keep-observations",
        type=on_or_off,
        default=_UNSET,
        metavar="on|off",
        help="keep beside the result what `unish refine` works with, about half as large as the result (default on)",
    )
    parser.add_argument(
        "--title",
        default=_UNSET,
        metavar="TEXT",
        help="what the report and pages call the video (default: the name of its file)",
    )
    parser.add_argument("--seed", type=at_least(0), default=_UNSET, help="of everything random (default 0)")


def _add_frames(parser: argparse.ArgumentParser) -> None:
    """Which frames are used."""
    parser.add_argument("--fps", type=positive_float, default=_UNSET, help="frames to use per second (default 6)")
    parser.add_argument(
        "--scene-fps",
        type=positive_float,
        default=_UNSET,
        metavar="FPS",
        help="of these, frames per second with depth; people and cameras are given for all (default 6)",
    )
    parser.add_argument(
        "--source-fps",
        type=positive_float,
        default=_UNSET,
        metavar="FPS",
        help="frame rate of a folder of images or a raw stream (default: judged by names, EXIF times and number)",
    )
    parser.add_argument(
        "--size",
        type=at_least(32),
        default=_UNSET,
        metavar="PX",
        help="long side of the processed frames (default: the model's own)",
    )
    parser.add_argument("--start", type=seconds, default=_UNSET, metavar="S", help="seconds into the video to start at")
    parser.add_argument("--end", type=seconds, default=_UNSET, metavar="S", help="seconds into the video to end at")
    parser.add_argument("--max-frames", type=at_least(1), default=_UNSET, metavar="N", help="use at most N frames")


def _add_people(parser: argparse.ArgumentParser) -> None:
    """Whom to reconstruct, and when."""
    parser.add_argument(
        "--people",
        type=everyone_or_count,
        default=_UNSET,
        metavar="all|N",
        help="how many people at most; 0 = scene only (default all)",
    )
    parser.add_argument(
        "--person-box",
        type=place_at("x1", "y1", "x2", "y2"),
        action="append",
        default=_UNSET,
        metavar="x1,y1,x2,y2@t",
        help="keep the person who fills this box (source pixels) at t seconds; may be given several times",
    )
    parser.add_argument(
        "--person-at",
        type=place_at("x", "y"),
        action="append",
        default=_UNSET,
        metavar="x,y@t",
        help="keep the person at this point (source pixels) at t seconds; may be given several times",
    )
    parser.add_argument(
        "--person-id",
        type=at_least(0),
        action="append",
        default=_UNSET,
        metavar="ID",
        help="keep the person with this number in a run with everybody; may be given several times",
    )
    parser.add_argument(
        "--fill-gaps",
        type=seconds,
        default=_UNSET,
        metavar="S",
        help="interpolate people over gaps of up to S seconds, marked as filled (default 0: none)",
    )


def _add_known(parser: argparse.ArgumentParser) -> None:
    """What the user knows of people and camera."""
    parser.add_argument(
        "--tracks",
        type=existing_file,
        default=_UNSET,
        metavar="FILE",
        help="npz with your own boxes instead of the detector",
    )
    parser.add_argument(
        "--intrinsics", type=intrinsics, default=_UNSET, metavar="fx,fy,cx,cy", help="known camera, in source pixels"
    )
    parser.add_argument(
        "--fov",
        type=positive_float,
        default=_UNSET,
        metavar="DEG",
        help="known field of view: the angle that the longer side of the source's picture spans",
    )
    parser.add_argument(
        "--focal-35mm",
        type=positive_float,
        default=_UNSET,
        metavar="MM",
        help="known focal length as if on 35 mm film, as the data sheets of phones give it",
    )
    parser.add_argument(
        "--cameras",
        type=existing_path,
        default=_UNSET,
        metavar="FILE",
        help="known poses, which are kept: folder of a COLMAP model, transforms.json, or a TUM trajectory",
    )
    parser.add_argument(
        "--refine-cameras", action="store_true", default=_UNSET, help="start from --cameras instead of keeping them"
    )
    parser.add_argument(
        "--camera-unit",
        choices=CAMERA_UNITS,
        default=_UNSET,
        help="of the places in --cameras (default: m for TUM trajectories, else unknown: people give the scale)",
    )
    _add_sizes(parser)
    parser.add_argument(
        "--settle",
        type=on_or_off,
        default=_UNSET,
        metavar="on|off",
        help="bring scene, ground and people together where feet stand (default on)",
    )
    parser.add_argument(
        "--person-points",
        type=on_or_off,
        default=_UNSET,
        metavar="on|off",
        help="points of people at the resolution of their crops (default on)",
    )
    parser.add_argument(
        "--body", default=_UNSET, metavar="free|PATH", help="body model: free, or a licensed SMPL file (default free)"
    )


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    """What the user knows of sizes."""
    parser.add_argument(
        "--person-height",
        type=person_height,
        action=CollectPairs,
        default=_UNSET,
        metavar="ID=M",
        help="known standing height of a person of the result, in metres; repeatable",
    )
    parser.add_argument(
        "--known-distance",
        type=known_distance,
        action="append",
        default=_UNSET,
        metavar="x1,y1,x2,y2@S=M",
        help="known distance in metres between what two source pixels show S seconds into the video; repeatable",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    """The network, and how much of the video it sees at once."""
    parser.add_argument(
        "--model",
        default=_UNSET,
        metavar="NAME",
        help="small, release, a path, or OWNER/NAME[@REVISION] on the hub (default small)",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=_UNSET,
        help="where the network runs (default auto: cuda where there is one, else cpu)",
    )
    parser.add_argument(
        "--sky", action="store_true", default=_UNSET, help="look for the sky and leave it out of depth, scale and floor"
    )
    parser.add_argument(
        "--fast", action="store_true", default=_UNSET, help="less time, people and depth less exact (docs/speed.md)"
    )
    parser.add_argument(
        "--window", type=at_least(1), default=_UNSET, metavar="N", help="frames that the network sees at once"
    )
    parser.add_argument(
        "--overlap", type=at_least(0), default=_UNSET, metavar="N", help="frames that neighbouring windows share"
    )
