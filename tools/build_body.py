"""Build ``src/unish/body/assets/free.npz``, the free SMPL-format body, from the ``anny`` package.

anny (code Apache-2.0; shapes from MakeHuman / MPFB, CC0) is a build-time tool only. In a separate environment:

    python -m venv body-venv && body-venv/bin/pip install torch==2.13.0 anny==0.6.2 scipy
    body-venv/bin/python tools/build_body.py src/unish/body/assets/free.npz

Steps: sample people (adults and children) → rest meshes of anny in its A-pose → collapse anny's 104 bones to the 24 joints
of SMPL → take the A-pose to SMPL's T-pose → close and thin out the mesh → 10 shape components → contact vertices and
landmarks. The same seed gives the same file.

Frame of the result: metres, y up, facing +z, the body's left at +x, origin at the centroid of the rest mesh (so the rest
pelvis is *not* at the origin and follows the shape, as in SMPL).

Shape components, per unit of beta:
    0     stature of adults: one standard deviation, about 9 cm, positive is taller
    1     age: 25 cm of stature with the proportions of a child; 0 for adults, −1 about 1.45 m, −3 about 0.95 m
    2..9  principal components of what is left (mass, muscle, sex, limb and trunk proportions), one standard deviation
          of adults each
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anny
import numpy as np
import torch
import yaml
from anny.face_segmentation import get_face_segmentation_mask
from body_mesh import boundary_loop, cap_loop, check_closed, simplify_symmetric
from numpy import ndarray
from scipy.spatial.transform import Rotation

SEED = 20240
NUM_ADULTS, NUM_CHILDREN = 600, 240
NUM_VERTICES = 6900
NUM_SHAPES = 10
CHILD_UNIT_M = 0.25

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
MIRRORED_JOINTS = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
JOINT_BONES = (
    "root", "upperleg01.L", "upperleg01.R", "spine04", "lowerleg01.L", "lowerleg01.R", "spine03", "foot.L", "foot.R",
    "spine02", "toe2-1.L", "toe2-1.R", "neck01", "clavicle.L", "clavicle.R", "head", "upperarm01.L", "upperarm01.R",
    "lowerarm01.L", "lowerarm01.R", "wrist.L", "wrist.R", "finger3-1.L", "finger3-1.R",
)  # fmt: skip
# Bones whose nearest ancestor among JOINT_BONES is not the joint that should move them.
TOE_PREFIX, FINGER_PREFIXES = "toe", ("finger2", "finger3", "finger4", "finger5")
LOCAL_CHANGES = {
    "measure-upperarm-length-incr": 0.3, "measure-lowerarm-length-incr": 0.3, "measure-upperleg-height-incr": 0.3,
    "measure-lowerleg-height-incr": 0.3, "measure-shoulder-dist-incr": 0.3, "measure-hips-circ-incr": 0.3,
    "measure-waist-circ-incr": 0.3, "torso-scale-vert-incr": 0.25, "measure-neck-height-incr": 0.25,
    "head-scale-vert-incr": 0.2, "head-scale-depth-incr": 0.2, "head-scale-horiz-incr": 0.2,
}  # fmt: skip
PAIRED_LOCAL_CHANGES = {"hand-scale-incr": 0.25, "foot-scale-incr": 0.25}


# --------------------------------------------------------------------------------------------------------- sampling


def load_model() -> anny.Anny:
    return anny.Anny(phenotypes="all", local_changes="default").to(torch.float64)


def draw_phenotypes(rng: np.random.Generator, num_adults: int, num_children: int) -> dict[str, ndarray]:
    num = num_adults + num_children
    adult = np.arange(num) < num_adults
    male = rng.random(num) < 0.5

    def around(mean: float, sd: float) -> ndarray:
        return np.clip(rng.normal(mean, sd, num), 0.0, 1.0)

    races = rng.dirichlet(np.ones(3), num)
    return {
        "gender": np.clip(np.where(male, 0.1, 0.9) + rng.normal(0, 0.1, num), 0, 1),
        "age": np.where(adult, rng.uniform(2 / 3, 0.95, num), rng.uniform(0.06, 0.6, num)),
        "muscle": around(0.5, 0.18),
        "weight": around(0.53, 0.2),
        "height": around(0.5, 0.1),
        "proportions": around(0.5, 0.15),
        "cupsize": around(0.5, 0.15),
        "firmness": around(0.5, 0.15),
        "african": races[:, 0],
        "asian": races[:, 1],
        "caucasian": races[:, 2],
    }


def draw_local_changes(rng: np.random.Generator, num: int) -> dict[str, ndarray]:
    changes = {name: np.clip(rng.normal(0, sd, num), -1, 1) for name, sd in LOCAL_CHANGES.items()}
    for name, sd in PAIRED_LOCAL_CHANGES.items():
        both = np.clip(rng.normal(0, sd, num), -1, 1)
        changes |= {f"l-{name}": both, f"r-{name}": both}
    return changes


def to_smpl_axes(points: ndarray) -> ndarray:
    """anny is z up and faces −y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


@torch.no_grad()
def shape_coefficients(model: anny.Anny, phenotypes: dict, changes: dict) -> ndarray:
    """(N, K) coefficients of anny's linear shapes (its phenotypes act on them piecewise linearly)."""
    coefficients = model.get_phenotype_blendshape_coefficients(
        **{k: torch.as_tensor(v) for k, v in phenotypes.items()},
        local_changes={k: torch.as_tensor(v) for k, v in changes.items()},
    )
    return coefficients.numpy()


def rest_vertices(model: anny.Anny, coefficients: ndarray, which: ndarray | slice = slice(None)) -> ndarray:
    """(N, W, 3) vertices ``which`` of anny's A-pose, SMPL's axes, float32."""
    template = model.template_vertices.numpy()[which].astype(np.float32)
    directions = model.blendshapes.numpy()[:, which].astype(np.float32)
    moved = coefficients.astype(np.float32) @ directions.reshape(len(directions), -1)
    return to_smpl_axes(template + moved.reshape(-1, *template.shape))


def rest_bone_heads(model: anny.Anny, coefficients: ndarray) -> ndarray:
    """(N, 104, 3) bone heads of anny's A-pose, SMPL's axes."""
    moved = np.einsum("nk,kbc->nbc", coefficients, model.bone_heads_blendshapes.numpy())
    return to_smpl_axes(model.template_bone_heads.numpy() + moved)


def sample_people(model: anny.Anny, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    """(N, K) shape coefficients of people and (N,) who is an adult.

    Adults have statures of 1.76 ± 0.07 m (men) and 1.63 ± 0.065 m (women); children are about 1.5 to 15 years old.
    """
    num = NUM_ADULTS + NUM_CHILDREN
    phenotypes, changes = draw_phenotypes(rng, NUM_ADULTS, NUM_CHILDREN), draw_local_changes(rng, num)
    adult = np.arange(num) < NUM_ADULTS
    male = phenotypes["gender"] < 0.5
    target = np.where(male, rng.normal(1.76, 0.07, num), rng.normal(1.63, 0.065, num))
    # Stature is close to linear in anny's height parameter: two evaluations give the parameter of a wanted stature.
    up = to_smpl_axes(model.template_vertices.numpy())[:, 1]
    ends = np.flatnonzero((up > up.max() - 0.03) | (up < up.min() + 0.03))
    statures = []
    for height in (0.4, 0.6):
        coefficients = shape_coefficients(model, {**phenotypes, "height": np.full(num, height)}, changes)
        statures.append(np.ptp(rest_vertices(model, coefficients, ends)[..., 1], axis=1))
    wanted = np.clip(0.4 + 0.2 * (target - statures[0]) / (statures[1] - statures[0]), 0, 1)
    phenotypes["height"] = np.where(adult, wanted, phenotypes["height"])
    return shape_coefficients(model, phenotypes, changes), adult


# --------------------------------------------------------------------------------------------------------- rig


def dense_weights(model: anny.Anny) -> ndarray:
    """(V, 104) skinning weights of anny's own rig."""
    indices, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    weights = np.zeros((len(indices), len(model.bone_labels)))
    np.add.at(weights, (np.arange(len(indices))[:, None], indices), values)
    return weights / weights.sum(1, keepdims=True)


def joint_of_bone(model: anny.Anny) -> ndarray:
    """(104,) SMPL joint that moves each bone: its own, or that of its nearest mapped ancestor."""
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    joint = {labels.index(bone): j for j, bone in enumerate(JOINT_BONES)}
    for i, label in enumerate(labels):
        left = label.endswith(".L")
        if label.startswith(TOE_PREFIX):
            joint[i] = 10 if left else 11
        elif label.startswith(FINGER_PREFIXES):
            joint[i] = 22 if left else 23
        elif i not in joint:
            joint[i] = joint[parents[i]]
    return np.array([joint[i] for i in range(len(labels))])


def rotation_between(source: ndarray, source_side: ndarray, target: ndarray, target_side: ndarray) -> ndarray:
    """(N, 3, 3) rotations that take direction ``source`` to ``target`` and its side vector as near as possible."""

    def frame(forward: ndarray, side: ndarray) -> ndarray:
        x = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
        y = side - (side * x).sum(-1, keepdims=True) * x
        y /= np.linalg.norm(y, axis=-1, keepdims=True)
        return np.stack([x, y, np.cross(x, y)], axis=-1)

    target, target_side = np.broadcast_to(target, source.shape), np.broadcast_to(target_side, source.shape)
    return frame(target, target_side) @ frame(source, source_side).swapaxes(-1, -2)


def untwist_hands(model: anny.Anny, vertices: ndarray, heads: ndarray, weights: ndarray) -> tuple[ndarray, ndarray]:
    """Turn each hand about its forearm so that the palm lies in the plane that the elbow's hinge gives it in a T-pose.

    anny's relaxed forearm is half pronated. The turn uses its own finer bones (half of it at mid-forearm), because the
    24 joints have nothing between elbow and wrist. Changes ``vertices`` (N, V, 3) and ``heads`` (N, 104, 3) copies.
    """
    labels = list(model.bone_labels)
    vertices, heads = vertices.copy(), heads.copy()
    for side, sign in (("L", 1.0), ("R", -1.0)):
        at = {name: heads[:, labels.index(f"{name}.{side}")] for name in
              ("upperarm01", "lowerarm01", "lowerarm02", "wrist", "finger2-1", "finger5-1")}  # fmt: skip
        along = at["wrist"] - at["lowerarm01"]
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        hinge = np.cross(at["lowerarm01"] - at["upperarm01"], along) * sign
        hinge /= np.linalg.norm(hinge, axis=-1, keepdims=True)
        across = at["finger2-1"] - at["finger5-1"]
        # In the T-pose the left hinge is −y and the hand points its index side to +z.
        wanted = np.cross(hinge, along) * sign
        across -= (across * along).sum(-1, keepdims=True) * along
        angle = np.arctan2((np.cross(across, wanted) * along).sum(-1), (across * wanted).sum(-1))
        hand = [i for i, label in enumerate(labels) if label.endswith(f".{side}") and
                label.startswith(("wrist", "finger", "metacarpal"))]  # fmt: skip
        middle = [labels.index(f"lowerarm02.{side}")]
        moved = np.zeros_like(vertices)
        rest = 1.0
        for bones, share in ((hand, 1.0), (middle, 0.5)):
            turn = Rotation.from_rotvec(along * (share * angle)[:, None]).as_matrix()
            weight = weights[:, bones].sum(1)[None, :, None]
            moved += weight * ((vertices - at["wrist"][:, None]) @ turn.swapaxes(-1, -2) + at["wrist"][:, None])
            rest = rest - weight
            heads[:, bones] = (heads[:, bones] - at["wrist"][:, None]) @ turn.swapaxes(-1, -2) + at["wrist"][:, None]
        vertices = (moved + rest * vertices).astype(np.float32)
    return vertices, heads


def rotations_to_t_pose(model: anny.Anny, heads: ndarray) -> ndarray:
    """(N, 24, 3, 3) global rotation of every joint from anny's A-pose to SMPL's T-pose."""
    labels = list(model.bone_labels)
    rotations = np.tile(np.eye(3), (len(heads), 24, 1, 1))
    for side, sign, hip, knee, shoulder, elbow, wrist, hand in (
        ("L", 1.0, 1, 4, 16, 18, 20, 22),
        ("R", -1.0, 2, 5, 17, 19, 21, 23),
    ):
        at = {name: heads[:, labels.index(f"{name}.{side}")] for name in
              ("upperleg01", "lowerleg01", "foot", "upperarm01", "lowerarm01", "wrist", "finger2-1", "finger3-1",
               "finger5-1")}  # fmt: skip
        ahead = np.array([0.0, 0.0, 1.0])
        thigh, shin = at["lowerleg01"] - at["upperleg01"], at["foot"] - at["lowerleg01"]
        rotations[:, hip] = rotation_between(thigh, ahead + 0 * thigh, np.array([0.05 * sign, -1.0, 0.0]), ahead)
        rotations[:, knee] = rotation_between(shin, ahead + 0 * shin, np.array([0.03 * sign, -1.0, -0.05]), ahead)
        out, down = np.array([sign, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
        upper, fore = at["lowerarm01"] - at["upperarm01"], at["wrist"] - at["lowerarm01"]
        hinge = np.cross(upper, fore) * sign
        rotations[:, shoulder] = rotation_between(upper, hinge, out, down)
        rotations[:, elbow] = rotation_between(fore, hinge, out, down)
        palm, across = at["finger3-1"] - at["wrist"], at["finger2-1"] - at["finger5-1"]
        rotations[:, wrist] = rotations[:, hand] = rotation_between(palm, across, out, ahead)
    return rotations


def forward_joints(joints: ndarray, rotations: ndarray) -> ndarray:
    """(N, 24, 3) joints after turning every bone by its global rotation; the root stays."""
    moved = joints.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            offset = joints[:, joint] - joints[:, parent]
            moved[:, joint] = moved[:, parent] + np.einsum("nij,nj->ni", rotations[:, parent], offset)
    return moved


def to_t_pose(vertices: ndarray, joints: ndarray, rotations: ndarray, weights: ndarray) -> tuple[ndarray, ndarray]:
    """A-pose to T-pose by the *inverse* of the blended transforms.

    Linear blend skinning with ``weights`` (V, 24) then gives back anny's own A-pose exactly, so the shoulder is right in
    the middle of its range and the error is shared by arms up and arms down.
    """
    t_joints = forward_joints(joints, rotations)
    back = rotations.swapaxes(-1, -2)
    shift = joints - np.einsum("njab,njb->nja", back, t_joints)
    out = np.empty_like(vertices)
    for i in range(len(vertices)):
        blended = np.tensordot(weights, back[i], axes=1)
        offset = weights @ shift[i]
        out[i] = np.linalg.solve(blended, (vertices[i] - offset)[..., None])[..., 0]
    return out, t_joints


# --------------------------------------------------------------------------------------------------------- mesh


def close_and_thin(model: anny.Anny, template: ndarray, mirror: ndarray, marks: dict) -> tuple[ndarray, ndarray]:
    """Kept source vertices (sorted) and faces: eyes become cones to the pupil, the mouth a shallow dent, then fewer."""
    faces = model.faces.numpy()
    away = np.zeros(len(faces), bool)
    added = []
    for label, centre in (
        ("mouth_cavity", marks["mouth_back"]), ("eye_cavity.L", marks["left_pupil"]),
        ("eye_cavity.R", int(mirror[marks["left_pupil"]])),
    ):  # fmt: skip
        cavity = segment(model, label)
        away |= cavity
        added.append(cap_loop(faces[cavity], centre))
    for label in ("eye_front.L", "eye_front.R", "eye_back.L", "eye_back.R", "tongue"):
        away |= segment(model, label)
    faces = np.concatenate([faces[~away], *added])
    pinned = {vertex for name, vertex in marks.items() if name != "mouth_back"} | {marks["mouth_back"]}
    share = np.full(len(template), 0.06)
    kept, thin = simplify_symmetric(template, faces, mirror, NUM_VERTICES, pinned, share)
    check_closed(thin)
    return kept, thin


def segment(model: anny.Anny, label: str) -> ndarray:
    return get_face_segmentation_mask(model, [label]).numpy()


def twins(model: anny.Anny) -> ndarray:
    """(V,) index of each vertex's mirror twin, from MakeHuman's own table."""
    base = model.base_mesh_vertex_indices.numpy()
    table = Path(anny.__path__[0], "data/mpfb2/mesh_metadata/hm08.mirror").read_text().split("\n")
    twin = {int(row.split()[0]): int(row.split()[1]) for row in table if row.strip() and not row.startswith("#")}
    index = {b: i for i, b in enumerate(base)}
    return np.array([index[twin[b]] for b in base])


# --------------------------------------------------------------------------------------------------------- marks


def find_marks(model: anny.Anny, points: ndarray, mirror: ndarray) -> dict[str, int]:
    """Source vertices (left half or middle) that landmarks and contacts hang on, found by extremes of the T-pose."""
    faces = model.faces.numpy()
    x, y, z = points.T
    middle = mirror == np.arange(len(points))
    mouth = np.array(boundary_loop(faces[segment(model, "mouth_cavity")]))
    eye = np.array(boundary_loop(faces[segment(model, "eye_cavity.L")]))
    pupil = np.unique(faces[segment(model, "eye_front.L")])
    tongue_and_cavity = np.unique(faces[segment(model, "mouth_cavity")])
    head = np.unique(faces[segment(model, "head")])
    foot = np.unique(faces[segment(model, "foot.L")])
    nose = head[middle[head] & (y[head] > y[mouth].max()) & (y[head] < y[eye].mean())]
    inner = tongue_and_cavity[middle[tongue_and_cavity] & ~np.isin(tongue_and_cavity, mouth)]
    # The back of the closed mouth: the cavity's midline vertex nearest to the lips' centre, one centimetre in.
    goal = points[mouth].mean(0) - np.array([0.0, 0.0, 0.008])
    return {
        "nose": int(nose[z[nose].argmax()]),
        "mouth_back": int(inner[np.linalg.norm(points[inner] - goal, axis=1).argmin()]),
        "mouth_corner": int(mouth[x[mouth].argmax()]),
        "left_pupil": int(pupil[z[pupil].argmax()]),
        "eye_inner": int(eye[x[eye].argmin()]),
        "eye_outer": int(eye[x[eye].argmax()]),
        "ear": ear_vertex(points, head),
        "toe_tip": int(foot[z[foot].argmax()]),
        "heel_back": int(foot[z[foot].argmin()]),
    }


def ear_vertex(points: ndarray, head: ndarray) -> int:
    """In front of the ear's opening: BlazePose marks the tragus, not the rim."""
    x, y, _ = points[head].T
    rim = head[x.argmax()]
    goal = points[rim] + np.array([-0.02, 0.0, 0.02])
    return int(head[np.linalg.norm(points[head] - goal, axis=1).argmin()])


def contact_vertices(points: ndarray, weights: ndarray, joints: ndarray) -> dict[str, ndarray]:
    """Named lists of vertices of the thin mesh that touch the ground, a seat or an object."""
    x, y, z = points.T
    owner = weights.argmax(1)
    floor = y.min()
    contacts: dict[str, ndarray] = {}
    for side, sign, knee, ankle, foot, wrist, hand in (("left", 1, 4, 7, 10, 20, 22), ("right", -1, 5, 8, 11, 21, 23)):
        sole = np.isin(owner, (ankle, foot)) & (y < floor + 0.012)
        contacts[f"{side}_toe"] = np.flatnonzero(sole & (z > joints[foot, 2]))
        contacts[f"{side}_heel"] = np.flatnonzero(sole & (z < joints[ankle, 2] + 0.01))
        knees = np.isin(owner, (knee, knee - 3)) & (np.abs(y - joints[knee, 1]) < 0.04)
        contacts[f"{side}_knee"] = np.flatnonzero(knees & (z > np.quantile(z[knees], 0.8)))
        middle = 0.5 * (joints[wrist] + joints[hand])
        palms = np.isin(owner, (wrist, hand)) & (np.linalg.norm((points - middle)[:, [0, 2]], axis=1) < 0.04)
        contacts[f"{side}_palm"] = np.flatnonzero(palms & (y < np.quantile(y[palms], 0.35)))
    seat = np.isin(owner, (0, 1, 2)) & (np.abs(np.abs(x) - 0.08) < 0.05) & (z < joints[0, 2])
    near = seat & (np.abs(y - (joints[1, 1] - 0.06)) < 0.05)
    contacts["pelvis_seat"] = np.flatnonzero(near & (z < np.quantile(z[near], 0.6)))
    return contacts


def landmark_points(
    vertices: ndarray, joints: ndarray, knuckles: dict[str, ndarray], marks: dict, mirror: ndarray
) -> tuple[ndarray, ndarray]:
    """(N, 33, 3) BlazePose landmarks of T-pose bodies, and (33,) the joint that carries each."""
    rows: list[tuple[ndarray, int]] = []

    def vertex(name: str, left: bool) -> ndarray:
        return vertices[:, marks[name] if left else mirror[marks[name]]]

    rows.append((vertex("nose", True), 15))
    for left in (True, False):
        rows += [(vertex(name, left), 15) for name in ("eye_inner", "left_pupil", "eye_outer")]
    rows += [(vertex("ear", left), 15) for left in (True, False)]
    rows += [(vertex("mouth_corner", left), 15) for left in (True, False)]
    rows += [(joints[:, joint], joint) for joint in (16, 17, 18, 19, 20, 21)]
    for finger in ("finger5-1", "finger2-1", "finger1-2"):
        rows += [(knuckles[f"{finger}.{side}"], wrist) for side, wrist in (("L", 20), ("R", 21))]
    rows += [(joints[:, joint], joint) for joint in (1, 2, 4, 5, 7, 8)]
    rows += [(vertex("heel_back", left), 7 if left else 8) for left in (True, False)]
    rows += [(vertex("toe_tip", left), 10 if left else 11) for left in (True, False)]
    return np.stack([row[0] for row in rows], axis=1), np.array([row[1] for row in rows])


# --------------------------------------------------------------------------------------------------------- shapes


def vertex_areas(points: ndarray, faces: ndarray) -> ndarray:
    a, b, c = points[faces].swapaxes(0, 1)
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    out = np.zeros(len(points))
    np.add.at(out, faces, (area / 3)[:, None])
    return out


def shape_components(shapes: ndarray, areas: ndarray, statures: ndarray, adult: ndarray) -> tuple[ndarray, ndarray]:
    """(10, V, 3) components and (N, 10) coefficients; see the module's docstring for their meaning.

    The first two are nearly parallel (both change the size); the rest is orthogonal to them in the area-weighted product.
    """
    mean = shapes[adult].mean(0)
    root = np.sqrt(areas / areas.sum())[:, None]
    flat = ((shapes - mean) * root).reshape(len(shapes), -1)
    z = (statures[adult] - statures[adult].mean()) / statures[adult].std()
    stature = z @ flat[adult] / (z @ z)
    t = (statures[~adult] - statures[adult].mean()) / CHILD_UNIT_M
    age = t @ flat[~adult] / (t @ t)
    first = np.stack([stature, age])
    residual = flat - np.linalg.lstsq(first.T, flat.T, rcond=None)[0].T @ first
    # A child counts half: adults are the common case, and the age component has taken most of what makes a child.
    residual = residual * np.where(adult, 1.0, 0.5)[:, None]
    _, _, rows = np.linalg.svd(residual, full_matrices=False)
    basis = np.concatenate([first, rows[: NUM_SHAPES - 2]])
    coefficients = np.linalg.lstsq(basis.T, flat.T, rcond=None)[0].T
    scale = np.ones(NUM_SHAPES)
    scale[2:] = coefficients[adult, 2:].std(0)
    basis *= scale[:, None]
    return (basis.reshape(NUM_SHAPES, -1, 3) / root), coefficients / scale


def follow(coefficients: ndarray, values: ndarray, adult: ndarray) -> tuple[ndarray, ndarray]:
    """Template (K, 3) and (K, 3, 10) shape directions of points that follow the shape, by least squares."""
    mean = values[adult].mean(0)
    flat = (values - mean).reshape(len(values), -1)
    fit = np.linalg.lstsq(coefficients, flat, rcond=None)[0]
    return mean, fit.T.reshape(*mean.shape, -1)


def symmetrise(template: ndarray, directions: ndarray, mirror: ndarray) -> tuple[ndarray, ndarray]:
    flip = np.array([-1.0, 1.0, 1.0])
    template = 0.5 * (template + template[mirror] * flip)
    directions = 0.5 * (directions + directions[mirror] * flip[:, None])
    return template, directions


def strongest_four(weights: ndarray) -> tuple[ndarray, ndarray]:
    """The four largest weights of every vertex, renormalised, and their joints."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    values = np.take_along_axis(weights, order, axis=1)
    return order.astype(np.uint8), values / values.sum(1, keepdims=True)


# --------------------------------------------------------------------------------------------------------- main


def t_pose_people(
    model: anny.Anny, coefficients: ndarray, which: ndarray, fine: ndarray, weights: ndarray
) -> tuple[ndarray, ndarray, dict[str, ndarray]]:
    """T-pose vertices ``which`` (N, W, 3), joints (N, 24, 3) and finger knuckles of people."""
    labels = list(model.bone_labels)
    heads = rest_bone_heads(model, coefficients)
    vertices, heads = untwist_hands(model, rest_vertices(model, coefficients, which), heads, fine[which])
    joints = heads[:, [labels.index(bone) for bone in JOINT_BONES]]
    rotations = rotations_to_t_pose(model, heads)
    vertices, t_joints = to_t_pose(vertices, joints, rotations, weights[which])
    knuckles = {}
    for side, wrist in (("L", 20), ("R", 21)):
        for finger in ("finger5-1", "finger2-1", "finger1-2"):
            offset = heads[:, labels.index(f"{finger}.{side}")] - joints[:, wrist]
            turned = np.einsum("nij,nj->ni", rotations[:, wrist], offset)
            knuckles[f"{finger}.{side}"] = t_joints[:, wrist] + turned
    return vertices, t_joints, knuckles


def build(seed: int = SEED) -> dict[str, ndarray]:
    model = load_model()
    coefficients, adult = sample_people(model, np.random.default_rng(seed))
    fine, mirror = dense_weights(model), twins(model)
    weights = np.zeros((len(fine), 24))
    np.add.at(weights.T, joint_of_bone(model), fine.T)
    weights = 0.5 * (weights + weights[mirror][:, MIRRORED_JOINTS])

    everything = np.arange(len(fine))
    template, *_ = t_pose_people(model, coefficients[adult].mean(0, keepdims=True), everything, fine, weights)
    template = 0.5 * (template[0] + template[0, mirror] * [-1, 1, 1])
    marks = find_marks(model, template, mirror)
    kept, faces = close_and_thin(model, template, mirror, marks)
    thin, t_joints, knuckles = t_pose_people(model, coefficients, kept, fine, weights)
    mirror_thin = np.searchsorted(kept, mirror[kept])
    marks_thin = {name: int(np.searchsorted(kept, vertex)) for name, vertex in marks.items()}
    landmarks, landmark_joints = landmark_points(thin, t_joints, knuckles, marks_thin, mirror_thin)
    areas = vertex_areas(template[kept], faces)
    centre = (thin * areas[:, None]).sum(1, keepdims=True) / areas.sum() * [0, 1, 1]
    thin, t_joints, landmarks = thin - centre, t_joints - centre, landmarks - centre

    statures = np.ptp(thin[..., 1], axis=1)
    components, betas = shape_components(thin, areas, statures, adult)
    v_template, shapedirs = symmetrise(thin[adult].mean(0), components.transpose(1, 2, 0), mirror_thin)
    j_template, j_shapedirs = symmetrise(*follow(betas, t_joints, adult), np.array(MIRRORED_JOINTS))
    l_template, l_shapedirs = symmetrise(*follow(betas, landmarks, adult), MIRRORED_LANDMARKS)
    weight_joints, weight_values = strongest_four(weights[kept])
    report(thin, statures, components, betas, adult, v_template, j_template, weights[kept], weight_values)
    contacts = contact_vertices(v_template, weights[kept], j_template)
    return {
        "format": np.array("unish-body/1"),
        "v_template": v_template.astype(np.float32),
        "faces": faces.astype(np.uint16),
        "shapedirs": shapedirs.astype(np.float16),
        "joint_template": j_template.astype(np.float32),
        "joint_shapedirs": j_shapedirs.astype(np.float32),
        "landmark_template": l_template.astype(np.float32),
        "landmark_shapedirs": l_shapedirs.astype(np.float32),
        "landmark_joints": landmark_joints.astype(np.uint8),
        "weight_joints": weight_joints,
        "weight_values": weight_values.astype(np.float16),
        "mirror_vertices": mirror_thin.astype(np.uint16),
        **{f"contact_{name}": indices.astype(np.uint16) for name, indices in contacts.items()},
    }


MIRRORED_LANDMARKS = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9] + [i + 1 if i % 2 else i - 1 for i in range(11, 33)])


def report(thin, statures, components, betas, adult, v_template, j_template, weights, weight_values) -> None:
    rebuilt = v_template + np.einsum("nk,kvc->nvc", betas, components)
    error = np.linalg.norm(rebuilt - thin, axis=-1) * 1000
    total = ((thin[adult] - thin[adult].mean(0)) ** 2).sum()
    left = ((rebuilt[adult] - thin[adult]) ** 2).sum()
    print(
        f"vertices {thin.shape[1]}, pelvis {j_template[0].round(3)}, dropped weight {(1 - np.sort(weights, 1)[:, -4:].sum(1)).max():.3f}"
    )
    print(
        f"adults: explained {1 - left / total:.4f}, mean error {error[adult].mean():.1f} mm; children {error[~adult].mean():.1f} mm"
    )
    print(
        f"stature adults {statures[adult].mean():.3f} ± {statures[adult].std():.3f}, children {statures[~adult].min():.2f}–{statures[~adult].max():.2f}"
    )
    print("adult betas mean", betas[adult].mean(0).round(2), "sd", betas[adult].std(0).round(2))
    print("child betas min", betas[~adult].min(0).round(1), "max", betas[~adult].max(0).round(1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    np.savez_compressed(out, **build())
    print(out, f"{out.stat().st_size / 1e6:.2f} MB")
