"""A scene with cameras and depth that agree with what its frames show alike: ``view_solver``, then ``view_depth``.

Legend: B clips, N frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid
from unish.geometry.surfaces import dilate
from unish.network.depth_prior.align import AffineDepth, refit_at_anchors
from unish.network.depth_refiner import DepthRefiner
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig
from unish.network.view_depth import LEAST_INFORMATION, Anchors, Views, refine_depth
from unish.network.view_solver import SolvedViews, sample_maps, solve_views, stand_still

_MIN_DEPTH = 1e-3
_ALL_KNOWN = 0.999  # where all pixels around a point are, as far as rounding goes


def refine_scene(
    images: Float[Tensor, "B N 3 H W"],
    scene: SceneOutput,
    *,
    people: Int[Tensor, "B N H W"] | None = None,
    usable: Bool[Tensor, "B N H W"] | None = None,
    known_camera: bool = False,
    c2w: Float[Tensor, "B N 4 4"] | None = None,
    refine_c2w: bool = False,
    still: bool = False,
    config: ViewSolverConfig | None = None,
    refiner: DepthRefiner | None = None,
    priors: Sequence[AffineDepth | None] | None = None,
) -> SceneOutput:
    """What a scene branch says of a clip, with cameras and depth that agree with what its frames show alike.

    Args:
        images: RGB in [0, 1], N ≥ 2.
        people: index of the person at each pixel, −1 = scene; nobody if ``None``.
        usable: pixels that show the scene or people, and not sky, padding or captions; all if ``None``.
        known_camera: the intrinsics of ``scene`` are right.
        c2w: known cameras, world = first one. They are what is returned, and the depth is in their unit wherever the
            pictures show parallax.
        refine_c2w: start from ``c2w``, and keep their size alone.
        still: the camera is known to stand still, in all clips: nothing is matched, and ``c2w`` is not given.
        refiner: the learnt network that follows the plane sweep; nothing follows it if ``None``.
        priors: given where the depth of ``scene`` is that of other depth priors, whose borders are sharper than those
            of the shipped one. Factor and offset of affine ones are fitted once more to the anchors of a camera that
            moves; ``None`` stands for a clip with another kind.
    """
    shape = (*images.shape[:2], *images.shape[3:])
    people = torch.full(shape, -1, device=images.device) if people is None else people.long()
    usable = torch.ones(shape, dtype=torch.bool, device=images.device) if usable is None else usable
    config = config or ViewSolverConfig()
    intrinsics = scene.intrinsics.float()
    views = stand_still(intrinsics) if still else solve_views(
        images, read_log_depth(scene), intrinsics, usable=leave_people_out(people, usable), known_camera=known_camera,
        w2c=None if c2w is None else invert_rigid(c2w), refine_w2c=refine_c2w, config=config,
    )  # fmt: skip
    refined = apply_views(
        scene, images, views, people=people, usable=usable, sweep=config.sweep, refiner=refiner, priors=priors
    )
    if c2w is None:
        return refined
    # To the bit what was given; and where nothing shows parallax, nothing tells better places.
    found = torch.where((views.moves & refine_c2w)[:, None, None, None], refined.c2w, c2w)
    return replace(refined, c2w=found, in_given_unit=views.moves, given_error_px=views.error_px)


def read_log_depth(scene: SceneOutput) -> Float[Tensor, "B N H W"]:
    """What ``solve_views`` takes for the depth prior."""
    return scene.local_points[..., 2].float().clamp_min(_MIN_DEPTH).log()


def leave_people_out(people: Int[Tensor, "B N H W"], usable: Bool[Tensor, "B N H W"]) -> Bool[Tensor, "B N H W"]:
    """Where a picture shows what does not move: not people, nor the pixels beside them."""
    margin = 1 + max(people.shape[-2:]) // 256
    return usable & ~dilate((people >= 0).flatten(0, 1), margin).unflatten(0, people.shape[:2])


def apply_views(
    scene: SceneOutput,
    images: Float[Tensor, "B N 3 H W"],
    views: SolvedViews,
    *,
    people: Int[Tensor, "B N H W"],
    usable: Bool[Tensor, "B N H W"],
    sweep: bool = True,
    refiner: DepthRefiner | None = None,
    priors: Sequence[AffineDepth | None] | None = None,
) -> SceneOutput:
    """The scene with the cameras of ``views``, and with depth that follows from its anchors and cameras.

    Args:
        scene, images, people, usable, refiner, priors: as in ``refine_scene``.
        sweep: see ``ViewSolverConfig``.
    """
    # What a longer lens enlarges looks nearer, and the scene branch takes it for that.
    log_depth = read_log_depth(scene) + (views.log_unit[:, None] + views.log_zoom)[..., None, None]
    log_depth = _refit_priors(log_depth, priors or (), views)
    refined = [
        _refine_clip(
            log_depth[clip],
            scene.point_conf_logits[clip].float(),
            images[clip].float(),
            people[clip],
            usable[clip],
            views,
            clip,
            sweep,
            refiner,
            sharp_prior=priors is not None,
        )
        for clip in range(len(images))
    ]
    log_depth, conf_logits = (torch.stack(part) for part in zip(*refined, strict=True))
    return replace(
        scene,
        local_points=unproject(log_depth.exp(), views.intrinsics),
        point_conf_logits=conf_logits,
        c2w=invert_rigid(views.bundle.w2c),
        intrinsics=views.intrinsics,
        joined=views.joined,
        certain=views.certain,
        solves_focal=views.solves_focal,
        log_zoom=views.log_zoom - views.log_zoom[:, :1],
        metres_per_unit=None if scene.metres_per_unit is None else scene.metres_per_unit * (-views.log_unit).exp(),
    )


def _refit_priors(
    log_depth: Float[Tensor, "B N H W"], priors: Sequence[AffineDepth | None], views: SolvedViews
) -> Float[Tensor, "B N H W"]:
    """Depth in which affine priors of clips with parallax fit the anchors."""
    refitted = list(log_depth)
    for clip, prior in enumerate(priors):
        if prior is None or not views.moves[clip]:
            continue
        maps = torch.stack([prior.values, prior.known.to(prior.values.dtype)])
        at_anchors, known = sample_maps(maps, views.anchors_px[[clip, clip]])
        information = views.bundle.information[clip]
        sound = (information > LEAST_INFORMATION) & views.joined[clip, :, None] & (known > _ALL_KNOWN)
        refitted[clip] = refit_at_anchors(
            log_depth[clip], prior, at_anchors, views.bundle.log_depth[clip], torch.where(sound, information, 0.0)
        )
    return torch.stack(refitted)


def _refine_clip(
    log_depth: Float[Tensor, "N H W"],
    conf_logits: Float[Tensor, "N H W"],
    images: Float[Tensor, "N 3 H W"],
    people: Int[Tensor, "N H W"],
    usable: Bool[Tensor, "N H W"],
    views: SolvedViews,
    clip: int,
    sweeps: bool,
    refiner: DepthRefiner | None,
    *,
    sharp_prior: bool,
) -> tuple[Float[Tensor, "N H W"], Float[Tensor, "N H W"]]:
    """Depth and confidence of one clip from the frames that are joined; the others keep theirs, at the same scale."""
    joined = views.joined[clip].nonzero()[:, 0]
    bundle = views.bundle
    refined, conf = refine_depth(
        log_depth[joined],
        conf_logits[joined],
        Views(
            images=images[joined],
            w2c=bundle.w2c[clip, joined],
            intrinsics=views.intrinsics[clip, joined],
            people=people[joined],
            usable=usable[joined],
        ),
        Anchors(
            pixels=views.anchors_px[clip, joined],
            log_depth=bundle.log_depth[clip, joined],
            information=bundle.information[clip, joined],
        ),
        moving=bool(views.moves[clip]),
        sweeps=sweeps,
        refiner=refiner,
        sharp_prior=sharp_prior,
    )
    level = (refined - log_depth[joined]).median()
    return (log_depth + level).index_copy(0, joined, refined), conf_logits.index_copy(0, joined, conf)
