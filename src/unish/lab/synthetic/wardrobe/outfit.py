"""A dressed person: the skin that shows, and every piece worn, posed together for all frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy import sparse

from unish.body import Body
from unish.body.model import PosedSkeleton
from unish.lab.synthetic.wardrobe.anatomy import Anatomy
from unish.lab.synthetic.wardrobe.folds import fold_amounts
from unish.lab.synthetic.wardrobe.layers import ClothLayer, Drape, Looks, Part, Solid, grid_faces, make_mesh
from unish.render.scene import Mesh, join_meshes
from unish.structs import BodyParams

LEG_CAPSULES = ((1, 4), (4, 7), (2, 5), (5, 8))
LEAST_LIFT = 0.0025
"""Cloth is never nearer to the skin than this, metres."""


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """What ``dress_person`` makes.

    Attributes:
        looks: all faces of the person, vertices in the order of ``pose``.
        skin: body vertices that show.
    """

    looks: Mesh
    skin: Int[ndarray, "K"]
    cloth: tuple[ClothLayer, ...]
    solids: tuple[Solid, ...]
    drapes: tuple[Drape, ...]
    anatomy: Anatomy

    def pose(
        self,
        body: Body,
        params: BodyParams,
        vertices: Float32[ndarray, "N V 3"],
        skeleton: PosedSkeleton | None = None,
    ) -> Float32[ndarray, "N S 3"]:
        """Vertices of ``looks`` for every frame, in the frame of ``params``.

        Args:
            vertices: of the posed body; skeleton: of the same, where it is known.
        """
        parts = [vertices[:, self.skin]]
        body_pose = params.body_pose.numpy()
        if self.cloth:
            parts.append(_lift_cloth(self.cloth, self.anatomy, body_pose, vertices))
        if self.solids or self.drapes:
            skeleton = skeleton or body.pose(body.rest_joints(params.betas), params.global_orient, params.body_pose)
            places = (skeleton.positions + params.transl[:, None]).numpy()
            turns = skeleton.rotations.numpy()
            rest_joints = body.rest_joints(params.betas[0]).numpy()
            parts += [_carry(solid, rest_joints, turns, places) for solid in self.solids]
            parts += [_hang(drape, rest_joints, turns, places) for drape in self.drapes]
        return np.concatenate(parts, axis=1).astype(np.float32)


def assemble(
    anatomy: Anatomy,
    person: int,
    skin_faces: Int[ndarray, "F 3"],
    skin_colours: Float[ndarray, "V 3"],
    cloth: list[ClothLayer],
    solids: list[Solid],
    drapes: list[Drape],
) -> Outfit:
    """Join the pieces of ``person`` into one mesh."""
    used, faces = np.unique(skin_faces, return_inverse=True)
    skin = Looks(colours=skin_colours[used], uv=np.zeros((len(used), 2)), part=Part.SKIN)
    meshes = [make_mesh(skin, faces.reshape(-1, 3), person)]
    meshes += [make_mesh(layer.looks, layer.faces, person) for layer in cloth]
    meshes += [make_mesh(solid.looks, solid.faces, person) for solid in solids]
    meshes += [
        make_mesh(drape.looks, grid_faces(drape.rest.shape[0], drape.rest.shape[1], drape.closed), person)
        for drape in drapes
    ]
    return Outfit(
        looks=join_meshes(meshes),
        skin=used,
        cloth=tuple(cloth),
        solids=tuple(solids),
        drapes=tuple(drapes),
        anatomy=anatomy,
    )


def _lift_cloth(
    cloth: tuple[ClothLayer, ...], anatomy: Anatomy, body_pose: ndarray, vertices: Float32[ndarray, "N V 3"]
) -> Float[ndarray, "N W 3"]:
    """Points of the posed skin, each lifted along the smoothed normal there."""
    num, clothed = len(vertices), anatomy.clothed
    points = clothed.restrict(sparse.csr_array(sparse.vstack([layer.points for layer in cloth], format="csr")))
    thickness, slack = (np.concatenate([getattr(layer, name) for layer in cloth]) for name in ("thickness", "slack"))
    folds = np.concatenate([layer.folds for layer in cloth], axis=1)
    # Coordinates before points: sums over the three of them are then sums of whole arrays.
    columns = np.ascontiguousarray(vertices[:, clothed.index].transpose(1, 2, 0))
    both = np.concatenate([columns, clothed.smooth(clothed.normals(columns), 2)], axis=1).reshape(len(columns), -1)
    both = (points @ both).reshape(-1, 2, 3, num)
    skin, outwards = both[:, 0].transpose(1, 2, 0), both[:, 1].transpose(1, 2, 0)
    outwards = outwards / np.maximum(np.sqrt((outwards**2).sum(0)), 1e-6)
    lift = thickness - slack * outwards[1] + fold_amounts(body_pose).astype(np.float32) @ folds
    least = np.minimum(thickness, LEAST_LIFT)
    return (skin + np.maximum(lift, least) * outwards).transpose(1, 2, 0)


def _skin(
    rest: ndarray, weights: ndarray, rest_joints: ndarray, turns: ndarray, places: ndarray
) -> Float[ndarray, "N W 3"]:
    """Linear blend skinning of numpy arrays with global turns and places of the joints."""
    used = np.flatnonzero(weights.any(0))
    turns, moved = turns[:, used], places[:, used] - np.einsum("njab,jb->nja", turns[:, used], rest_joints[used])
    blended = np.einsum(
        "wj,njc->nwc",
        weights[:, used],
        np.concatenate([turns, moved[..., None]], -1).reshape(len(turns), -1, 12),
        optimize=True,
    )
    blended = blended.reshape(*blended.shape[:2], 3, 4)
    return (blended[..., :3] * rest[:, None, :]).sum(-1) + blended[..., 3]


def _carry(
    solid: Solid, rest_joints: Float[ndarray, "24 3"], turns: ndarray, places: ndarray
) -> Float[ndarray, "N W 3"]:
    if not solid.hanging:
        return _skin(solid.rest, solid.weights, rest_joints, turns, places)
    joint = int(solid.weights[0].argmax())
    yaw = np.arctan2(turns[:, 0, 0, 2], turns[:, 0, 2, 2])
    local = solid.rest - rest_joints[joint]
    upright = np.zeros((len(yaw), 3, 3))
    upright[:, 0, 0] = upright[:, 2, 2] = np.cos(yaw)
    upright[:, 0, 2], upright[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
    upright[:, 1, 1] = 1
    placed = local @ upright.transpose(0, 2, 1) + places[:, joint, None]
    # What would hang into the floor is set down on it.
    placed[..., 1] += np.maximum(0, -placed[..., 1].min(1))[:, None]
    return placed


def _hang(
    drape: Drape, rest_joints: Float[ndarray, "24 3"], turns: ndarray, places: ndarray
) -> Float[ndarray, "N W 3"]:
    """Skin the cloth, then push it out of the legs and smooth what was pushed, twice."""
    rows, around = drape.rest.shape[:2]
    posed = _skin(drape.rest.reshape(-1, 3), drape.weights.reshape(-1, 24), rest_joints, turns, places)
    posed = posed.reshape(-1, rows, around, 3)
    for last in (False, True):
        posed = _push_out(posed, drape.radii, places)
        if not last:
            posed[:, 1:] = _smooth_rows(posed[:, 1:], drape.closed)
    posed[..., 1] = np.maximum(posed[..., 1], 0.004)
    return posed.reshape(len(posed), -1, 3)


def _push_out(
    points: Float[ndarray, "N R S 3"], radii: Float[ndarray, "4"], places: Float[ndarray, "N 24 3"]
) -> Float[ndarray, "N R S 3"]:
    """Move points outwards, away from the middle of their row, until they leave the cones along thighs and shins.

    Outwards and not away from the bone, so that a point near the bone does not jump from one side to the other.
    """
    for number, (top, bottom) in enumerate(LEG_CAPSULES):
        outward = points - points.mean(axis=2, keepdims=True)
        outward /= np.sqrt((outward**2).sum(-1, keepdims=True)) + 1e-6
        wide, narrow = radii[2 * (number % 2)], radii[2 * (number % 2) + 1]
        start, axis = places[:, top, None, None], (places[:, bottom] - places[:, top])[:, None, None]
        length2 = (axis * axis).sum(-1, keepdims=True)
        along = np.clip(((points - start) * axis).sum(-1, keepdims=True) / length2, 0, 1)
        radius = wide + (narrow - wide) * along
        away = points - start - along * axis
        across = outward - (outward * axis).sum(-1, keepdims=True) / length2 * axis
        slant = np.maximum((across**2).sum(-1, keepdims=True), 0.1)
        towards = (away * across).sum(-1, keepdims=True)
        short = radius**2 - (away**2).sum(-1, keepdims=True)
        way = (np.sqrt(towards**2 + slant * np.maximum(short, 0)) - towards) / slant
        # What has just touched a leg from within the row would go through all of it: at first only a little.
        share = np.where(towards > 0, 1.0, np.clip(3 * short / radius**2, 0, 1))
        points = points + np.where(short > 0, way * share, 0) * outward
    return points


def _smooth_rows(points: Float[ndarray, "N R S 3"], closed: bool) -> Float[ndarray, "N R S 3"]:
    """Mean with the neighbours along each row; open ends stay."""
    if closed:
        return 0.5 * points + 0.25 * (np.roll(points, 1, axis=2) + np.roll(points, -1, axis=2))
    out = points.copy()
    out[:, :, 1:-1] = 0.5 * points[:, :, 1:-1] + 0.25 * (points[:, :, :-2] + points[:, :, 2:])
    return out
