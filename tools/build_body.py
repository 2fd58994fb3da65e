"""Build ``src/unish/body/assets/free.npz``, the free SMPL-format body, from the ``anny`` package.

anny (code Apache-2.0; shapes from MakeHuman / MPFB, CC0) is a build-time tool only. In a separate environment:

    python -m venv body-venv && body-venv/bin/pip install torch==2.13.0 anny==0.6.2 -e .
    body-venv/bin/python tools/build_body.py src/unish/body/assets/free.npz

Steps: sample people (adults and children) → rest meshes of anny in its A-pose → collapse anny's 104 bones to the 24
joints of SMPL → take the A-pose to SMPL's T-pose → close and thin out the mesh → 10 shape components → contact vertices
and landmarks. The same seed gives the same file.

Frame of the result: metres, y up, facing +z, the body's left at +x, origin at the centroid of the rest mesh (so the
rest pelvis is *not* at the origin and follows the shape, as in SMPL).

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
from anny.face_segmentation import get_face_segmentation_mask
from numpy import ndarray

from body_mesh import boundary_loop, cap_loop, check_closed, simplify_symmetric
from body_people import load_model, sample_people, twins
from body_rig import dense_weights, joint_of_bone, t_pose_people
from unish.body.joints import MIRRORED_JOINTS, MIRRORED_LANDMARKS
from unish.body.template_landmarks import find_contacts

SEED = 20240
NUM_VERTICES = 6900
NUM_SHAPES = 10
CHILD_UNIT_M = 0.25


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
    rim = head[points[head, 0].argmax()]
    goal = points[rim] + np.array([-0.02, 0.0, 0.02])
    return int(head[np.linalg.norm(points[head] - goal, axis=1).argmin()])


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


def vertex_areas(points: ndarray, faces: ndarray) -> ndarray:
    a, b, c = points[faces].swapaxes(0, 1)
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    out = np.zeros(len(points))
    np.add.at(out, faces, (area / 3)[:, None])
    return out


def shape_components(shapes: ndarray, areas: ndarray, statures: ndarray, adult: ndarray) -> tuple[ndarray, ndarray]:
    """(10, V, 3) components and (N, 10) coefficients; see the module's docstring for their meaning.

    Vertices count by their area. Adults are described without the age component: it and stature are not orthogonal
    (both change the size), and an adult's betas should be N(0, 1) in the others.
    """
    mean = shapes[adult].mean(0)
    root = np.sqrt(areas / areas.sum())[:, None]
    flat = ((shapes - mean) * root).reshape(len(shapes), -1)
    height = (statures - statures[adult].mean()) / statures[adult].std()
    stature = height[adult] @ flat[adult] / (height[adult] @ height[adult])
    years = (statures[~adult] - statures[adult].mean()) / CHILD_UNIT_M
    age = years @ flat[~adult] / (years @ years)
    residual = flat - np.outer(height, stature)
    # A child counts half: adults are the common case, and the age component has taken most of what makes a child.
    residual[~adult] = 0.5 * (
        flat[~adult] - fit_rows(np.stack([stature, age]), flat[~adult]) @ np.stack([stature, age])
    )
    basis = np.stack([stature, age, *principal_rows(residual, NUM_SHAPES - 2)])
    no_age = [i for i in range(NUM_SHAPES) if i != 1]
    coefficients = fit_rows(basis, flat)
    coefficients[adult] = 0.0
    coefficients[np.ix_(adult, no_age)] = fit_rows(basis[no_age], flat[adult])
    scale = np.ones(NUM_SHAPES)
    scale[2:] = coefficients[adult, 2:].std(0)
    basis *= scale[:, None]
    return basis.reshape(NUM_SHAPES, -1, 3) / root, coefficients / scale


def fit_rows(basis: ndarray, rows: ndarray) -> ndarray:
    """Least-squares coefficients of ``rows`` (N, D) on ``basis`` (K, D)."""
    return np.linalg.solve(basis @ basis.T, basis @ rows.T).T


def principal_rows(rows: ndarray, num: int) -> ndarray:
    """The first principal directions of ``rows`` (N, D), unit length; the largest entry of each is positive."""
    _, vectors = np.linalg.eigh(rows @ rows.T)
    directions = vectors[:, ::-1][:, :num].T @ rows
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1)
    return directions * np.sign(largest)


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


def build(seed: int = SEED) -> dict[str, ndarray]:
    model = load_model()
    coefficients, adult = sample_people(model, np.random.default_rng(seed))
    fine, mirror = dense_weights(model), twins(model)
    weights = np.zeros((len(fine), 24))
    np.add.at(weights.T, joint_of_bone(model), fine.T)
    weights = 0.5 * (weights + weights[mirror][:, list(MIRRORED_JOINTS)])

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
    j_template, j_shapedirs = symmetrise(*follow(betas, t_joints, adult), list(MIRRORED_JOINTS))
    l_template, l_shapedirs = symmetrise(*follow(betas, landmarks, adult), list(MIRRORED_LANDMARKS))
    weight_joints, weight_values = strongest_four(weights[kept])
    contacts = find_contacts(v_template, weights[kept], j_template)
    body = {
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
    report(thin, body, betas, adult)
    return body


def report(thin: ndarray, body: dict[str, ndarray], betas: ndarray, adult: ndarray) -> None:
    """Print how well the components describe the sampled people."""
    rebuilt = body["v_template"] + np.einsum("nk,vck->nvc", betas, body["shapedirs"].astype(np.float32))
    error = np.linalg.norm(rebuilt - thin, axis=-1) * 1000
    left, total = ((rebuilt - thin)[adult] ** 2).sum(), ((thin - thin[adult].mean(0))[adult] ** 2).sum()
    statures = np.ptp(thin[..., 1], axis=1)
    print(f"{thin.shape[1]} vertices, {len(body['faces'])} faces, pelvis at {body['joint_template'][0].round(3)}")
    print(f"adults: {100 * (1 - left / total):.2f} % of the variance, mean vertex error {error[adult].mean():.1f} mm")
    print(f"children: mean vertex error {error[~adult].mean():.1f} mm")
    print(f"statures: adults {statures[adult].mean():.3f} ± {statures[adult].std():.3f} m, children from")
    print(f"    {statures[~adult].min():.2f} to {statures[~adult].max():.2f} m")
    print("betas of adults, standard deviation:", betas[adult].std(0).round(2))
    print("betas of children, range:", betas[~adult].min(0).round(1), betas[~adult].max(0).round(1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    np.savez_compressed(out, **build())
    print(out, f"{out.stat().st_size / 1e6:.2f} MB")
