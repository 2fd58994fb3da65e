"""Readers of motion capture and the retargeting to SMPL joints, on tiny files written here."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.errors import DegradedResultWarning, InputError
from unish.lab.synthetic import SynthConfig
from unish.lab.synthetic.clip import plan_clip
from unish.lab.synthetic.motion import MotionLibrary, read_motion
from unish.lab.synthetic.motion.bvh import read_bvh
from unish.lab.synthetic.motion.deepmimic import read_deepmimic
from unish.lab.synthetic.motion.skeleton import pose_skeleton

# (name, depth in the tree, offset in centimetres); the rest pose is a T.
_SKELETON = (
    ("Hips", 0, (0, 95, 0)),
    ("LeftUpLeg", 1, (9, -5, 0)), ("LeftLeg", 2, (0, -42, 0)), ("LeftFoot", 3, (0, -40, 0)),
    ("LeftToeBase", 4, (0, -6, 12)),
    ("RightUpLeg", 1, (-9, -5, 0)), ("RightLeg", 2, (0, -42, 0)), ("RightFoot", 3, (0, -40, 0)),
    ("RightToeBase", 4, (0, -6, 12)),
    ("Spine", 1, (0, 20, 0)), ("Neck", 2, (0, 30, 0)), ("Head", 3, (0, 10, 0)),
    ("LeftArm", 2, (18, 25, 0)), ("LeftForeArm", 3, (28, 0, 0)), ("LeftHand", 4, (25, 0, 0)),
    ("RightArm", 2, (-18, 25, 0)), ("RightForeArm", 3, (-28, 0, 0)), ("RightHand", 4, (-25, 0, 0)),
)  # fmt: skip


def write_bvh(rotations: dict[str, list[tuple[float, float, float]]], num_frames: int) -> str:
    """BVH text whose named joints have the given z, x, y angles (degrees) in each frame."""
    lines, depth_before = ["HIERARCHY"], -1
    for name, depth, offset in _SKELETON:
        lines += ["}"] * (depth_before - depth + 1)
        kind = "ROOT" if depth == 0 else "JOINT"
        positions = "6 Xposition Yposition Zposition" if depth == 0 else "3"
        lines += [f"{kind} {name}", "{", "OFFSET {} {} {}".format(*offset)]
        lines.append(f"CHANNELS {positions} Zrotation Xrotation Yrotation")
        if name.endswith(("Toe", "Hand", "Head", "ToeBase")):
            lines += ["End Site", "{", "OFFSET 0 0 1", "}"]
        depth_before = depth
    lines += ["}"] * (depth_before + 1) + ["MOTION", f"Frames: {num_frames}", "Frame Time: 0.0333333"]
    for frame in range(num_frames):
        numbers: list[float] = [0.0, 95.0, float(frame)]
        for name, *_ in _SKELETON:
            numbers += rotations.get(name, [(0.0, 0.0, 0.0)] * num_frames)[frame]
        lines.append(" ".join(f"{number:.4f}" for number in numbers))
    return "\n".join(lines) + "\n"


def test_rest_pose_of_a_t_shaped_skeleton_is_nearly_the_identity() -> None:
    motion = read_motion("still.bvh", write_bvh({}, 4))
    joints, _ = pose_skeleton(motion.rotations)
    angles = torch.acos(((motion.rotations.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))
    assert angles.rad2deg().max() < 20
    assert (joints[:, 20, 0] > 0.5).all() and (joints[:, 21, 0] < -0.5).all()


def test_a_bent_knee_and_a_raised_arm_arrive_where_they_should() -> None:
    text = write_bvh({"LeftUpLeg": [(0, -90, 0)] * 4, "LeftLeg": [(0, 80, 0)] * 4, "RightArm": [(80, 0, 0)] * 4}, 4)
    joints, _ = pose_skeleton(read_motion("pose.bvh", text).rotations)
    thigh, shank, arm = joints[0, 4] - joints[0, 1], joints[0, 7] - joints[0, 4], joints[0, 19] - joints[0, 17]
    assert thigh[2] > 0.35 and abs(thigh[1]) < 0.12
    assert shank[1] < -0.35
    assert arm[1] < -0.2, "a positive turn about z takes the right arm (at −x) down"
    knee = read_motion("pose.bvh", text).body_pose[0, 3]
    assert torch.acos(((knee.trace() - 1) / 2).clamp(-1, 1)).rad2deg() == pytest.approx(80, abs=8)


def test_heading_and_path_follow_the_file() -> None:
    turned = write_bvh({"Hips": [(0.0, 0.0, 90.0)] * 31}, 31)
    motion = read_motion("turned.bvh", turned)
    assert motion.global_orient[15, 0, 2] > 0.98, "turned to the left means facing +x"
    assert motion.root[-1, 2] == pytest.approx(0.30, abs=0.05)


def test_z_up_files_are_stood_up() -> None:
    lines = write_bvh({"Hips": [(0.0, 90.0, 0.0)] * 4}, 4)
    motion = read_motion("zup.bvh", lines)
    assert motion.global_orient[0, 1, 1] > 0.9


@pytest.mark.parametrize("text", ["", "HIERARCHY\nROOT a\n{\n", write_bvh({}, 3)[:-400], "MOTION\nFrames: 2\n"])
def test_broken_bvh_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="BVH"):
        read_bvh(text, name="broken.bvh")


def test_unknown_skeleton_and_unknown_format_are_refused() -> None:
    with pytest.raises(InputError, match="no joint found for"):
        read_motion("other.bvh", write_bvh({}, 2).replace("LeftForeArm", "Tentacle"))
    with pytest.raises(InputError, match="not a motion file"):
        read_motion("motion.c3d", "")


def test_deepmimic_rows() -> None:
    row = [0.0333, 0.0, 0.85, 0.0] + [1.0, 0, 0, 0] * 4 + [-0.6] + [1.0, 0, 0, 0] * 2 + [0.5]
    row += [1.0, 0, 0, 0] + [-0.6] + [1.0, 0, 0, 0] * 2 + [0.5]
    clip = read_deepmimic(json.dumps({"Loop": "wrap", "Frames": [row] * 3}))
    assert clip.rate_hz == pytest.approx(30, rel=0.01)
    motion = read_motion("clip.txt", json.dumps({"Frames": [row] * 3}))
    joints, _ = pose_skeleton(motion.rotations)
    forward = motion.global_orient[0, :, 2]
    assert forward[0] > 0.95, "the humanoid faces +x"
    assert ((joints[0, 7] - joints[0, 4]) @ forward) < -0.15, "bent knees take the shanks backward"
    with pytest.raises(InputError, match="DeepMimic"):
        read_deepmimic('{"Frames": [[1, 2]]}')


_ASF = """
:root
  order TX TY TZ RX RY RZ
  position 0 0 0
:bonedata
"""


def write_asf() -> tuple[str, str]:
    """A skeleton with CMU's bone names, without degrees of freedom except in the left knee."""
    bones = {
        "lhipjoint": (0.6, -0.8, 0), "lfemur": (0, -1, 0), "ltibia": (0, -1, 0), "lfoot": (0, -0.3, 0.95),
        "rhipjoint": (-0.6, -0.8, 0), "rfemur": (0, -1, 0), "rtibia": (0, -1, 0), "rfoot": (0, -0.3, 0.95),
        "ltoes": (0, 0, 1), "rtoes": (0, 0, 1),
        "lowerback": (0, 1, 0), "upperback": (0, 1, 0), "thorax": (0, 1, 0), "lowerneck": (0, 1, 0), "head": (0, 1, 0),
        "lclavicle": (1, 0, 0), "lhumerus": (1, 0, 0), "lradius": (1, 0, 0), "lwrist": (1, 0, 0),
        "rclavicle": (-1, 0, 0), "rhumerus": (-1, 0, 0), "rradius": (-1, 0, 0), "rwrist": (-1, 0, 0),
    }  # fmt: skip
    lengths = {"femur": 7, "tibia": 7, "humerus": 5, "radius": 4}
    data = ""
    for bone, (x, y, z) in bones.items():
        data += f"begin\n name {bone}\n direction {x} {y} {z}\n length {lengths.get(bone[1:], 2)}\n"
        data += " axis 0 0 0 XYZ\n" + (" dof rx\n limits (-10 170)\n" if bone == "ltibia" else "") + "end\n"
    chains = [
        "root lhipjoint rhipjoint lowerback", "lhipjoint lfemur", "lfemur ltibia", "ltibia lfoot", "lfoot ltoes",
        "rhipjoint rfemur", "rfemur rtibia", "rtibia rfoot", "rfoot rtoes", "lowerback upperback", "upperback thorax",
        "thorax lowerneck lclavicle rclavicle", "lowerneck head", "lclavicle lhumerus", "lhumerus lradius",
        "lradius lwrist", "rclavicle rhumerus", "rhumerus rradius", "rradius rwrist",
    ]  # fmt: skip
    asf = _ASF + data + ":hierarchy\nbegin\n" + "\n".join(chains) + "\nend\n"
    frames = "".join(f"{i}\nroot 0 17 0 0 0 0\nltibia 70\n" for i in range(1, 9))
    return asf, "#!OML\n:FULLY-SPECIFIED\n:DEGREES\n" + frames


def test_library_reads_folders_and_archives_and_leaves_out_what_it_cannot(tmp_path: Path) -> None:
    asf, amc = write_asf()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "walk.bvh").write_text(write_bvh({}, 40))
    (tmp_path / "a" / "notes.txt").write_text("not a motion")
    (tmp_path / "01.asf").write_text(asf)
    (tmp_path / "01_02.amc").write_text(amc)
    with tarfile.open(tmp_path / "cmu.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "01.asf", "cmu/01.asf")
        archive.add(tmp_path / "01_02.amc", "cmu/01_02.amc")
    with pytest.warns(DegradedResultWarning, match=r"notes\.txt"):
        library = MotionLibrary.read([tmp_path / "a", tmp_path / "cmu.tar.xz"])
    assert [motion.name for motion in library.motions] == ["walk.bvh", "cmu/01_02.amc"]
    bend = library.motions[1].body_pose[0, 3]
    assert torch.acos(((bend.trace() - 1) / 2).clamp(-1, 1)).rad2deg() == pytest.approx(70, abs=10)
    times = torch.arange(10, dtype=torch.float64) / 10
    sampled = library.sample(np.random.default_rng(0), times)
    assert sampled.num_frames == 10 and torch.equal(sampled.timestamps_s, times)


def test_missing_folder_and_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        MotionLibrary.read([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no motion could be read"):
        MotionLibrary.read([tmp_path])


@pytest.mark.long
def test_half_of_the_people_of_a_clip_move_as_in_the_files(tmp_path: Path) -> None:
    (tmp_path / "stand.bvh").write_text(write_bvh({}, 90))
    config = SynthConfig(num_frames=3, min_people=2, motion=str(tmp_path))
    names = [
        actor.action for index in range(8) for actor in plan_clip(np.random.default_rng([5, index]), 5, config).actors
    ]
    assert 0.2 < np.mean([name == "stand.bvh" for name in names]) < 0.8
    again = plan_clip(np.random.default_rng([5, 0]), 5, config).actors
    assert [actor.action for actor in again] == names[: len(again)]
