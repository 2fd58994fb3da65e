"""Every module of the published network on seeded weights against recorded outputs, in float32.

Accepted: 1e-5 of the largest magnitude; 3e-5 for the human pose. Measured when written: at most 1.7e-6 for the modules,
4.3e-6 for the human pose, 3.8e-6 for the stretched time tables.
"""

from __future__ import annotations

import pytest
import torch

from unish.geometry.rotation import matrix_to_rot6d, rot6d_to_matrix
from unish.network.align_net import AlignNet, AlignNetConfig, time_positions
from unish.network.decoder import AlternatingDecoder, DecoderConfig
from unish.network.encoders.dinov2 import DinoConfig, DinoEncoder
from unish.network.heads.branch_decoder import BranchDecoder, BranchDecoderConfig
from unish.network.heads.camera import CameraHead, project_to_rotation
from unish.network.heads.points import PixelHead, points_from_log_depth
from unish.network.human.crop_branch import CropBranch, CropBranchConfig
from unish.network.human.smpl_head import SmplHead, SmplHeadConfig
from unish.network.human.vit import CropVit, CropVitConfig
from unish.network.rope import grid_positions, rotary_1d, rotary_2d
from unish.structs import HumanInputs

from .seeded_weights import SeededWeights, seeded_input

pytestmark = [pytest.mark.parity]
GRID = (3, 4)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def rotary():
    return rotary_2d(grid_positions(*GRID, num_special=5), 64)


@pytest.mark.parametrize("size", [(10, 14), (16, 12), (7, 9), (37, 37), (37, 28), (20, 37)])
def test_encoder_position_table(weights: SeededWeights, load_fixture, size) -> None:
    encoder = DinoEncoder(DinoConfig(depth=0))
    encoder.pos_embed.data = weights.value("pi3.encoder.pos_embed")
    table = encoder.interpolate_positions(size)[..., ::128]
    load_fixture("dino").check(f"pos_{size[0]}x{size[1]}_ch0_1024_128", table)


def test_encoder(weights: SeededWeights, load_fixture) -> None:
    expected = load_fixture("dino")
    encoder = weights.fill(DinoEncoder(DinoConfig(depth=1)), "scene.encoder")
    images = seeded_input("dino.img", (2, 3, 70, 98))
    tokens = encoder.embed(images)
    block = encoder.blocks[0]
    expected.check("tokens", tokens[..., ::8])
    expected.check("attn0", block.attn(block.norm1(tokens))[..., ::8])
    expected.check("block0", block(tokens)[..., ::8])


@pytest.mark.slow
def test_encoder_whole(weights: SeededWeights, load_fixture) -> None:
    expected = load_fixture("dino")
    encoder = weights.fill(DinoEncoder(DinoConfig()), "scene.encoder")
    expected.check("patch", encoder(seeded_input("dino.img", (2, 3, 70, 98)))[..., ::8])


def test_decoder_blocks(weights: SeededWeights, load_fixture, rotary) -> None:
    expected = load_fixture("decoder")
    decoder = weights.fill(AlternatingDecoder(DecoderConfig(depth=2)), "scene.decoder")
    block, x = decoder.blocks[0], seeded_input("dec.x", (2, 17, 1024))
    expected.check("attn", block.attn(block.norm1(x), rotary))
    expected.check("frame", block(x, rotary))
    positions = grid_positions(*GRID, num_special=5).repeat(2, 1)
    expected.check("glob", block(x.reshape(1, 34, 1024), rotary_2d(positions, 64)))


@pytest.mark.slow
def test_decoder_whole(weights: SeededWeights, load_fixture) -> None:
    expected = load_fixture("decoder")
    decoder = weights.fill(AlternatingDecoder(DecoderConfig()), "scene.decoder")
    hidden = decoder(seeded_input("decode.tok", (3, 12, 1024))[None], GRID)
    expected.check("decode_hidden", hidden[0, ..., ::8])
    assert torch.equal(
        grid_positions(*GRID, num_special=5).expand(3, -1, -1), torch.tensor(expected["decode_pos"]).long()
    )


@pytest.mark.parametrize(("name", "width"), [("point", 1024), ("conf", 1024), ("camera", 512)])
def test_branch_decoders(weights: SeededWeights, load_fixture, name, width) -> None:
    decoder = BranchDecoder(BranchDecoderConfig(), input_dim=2048, output_dim=width)
    weights.fill(decoder, f"scene.{name}_decoder")
    out = decoder(seeded_input("td.hidden", (2, 17, 2048)), GRID)
    load_fixture("heads").check(f"{name}_decoder", out[..., ::2])


def test_dense_heads(weights: SeededWeights, load_fixture) -> None:
    expected, tokens = load_fixture("heads"), seeded_input("pts.tok", (2, 12, 1024), 2.0)
    expected.check("point_head", weights.fill(PixelHead(1024, 3, 14), "scene.point_head")(tokens, GRID))
    expected.check("conf_head", weights.fill(PixelHead(1024, 1, 14), "scene.conf_head")(tokens, GRID))


def test_camera_head(weights: SeededWeights, load_fixture) -> None:
    expected, features = load_fixture("heads"), seeded_input("cam.feat", (4, 12, 512), 2.0)
    head = weights.fill(CameraHead(512), "scene.camera_head")
    first = head.units[0](features)
    second = head.units[1](first)
    expected.check("camera_head_res0", first[..., ::8])
    expected.check("camera_head_res1", second[..., ::8])
    pooled = head.mlp(second.mean(1))
    expected.check("camera_head_mlp", pooled)
    expected.check("camera_head_fc_t", head.translation(pooled))
    expected.check("camera_head_fc_rot", head.rotation(pooled))
    expected.check("camera_head_pose", head(features))


def test_rotation_projection(load_fixture) -> None:
    expected = load_fixture("functions")
    expected.check("svd9_out", project_to_rotation(torch.from_numpy(expected["svd9_in"]).reshape(-1, 3, 3)))


def test_rotations_from_six_numbers(load_fixture) -> None:
    expected = load_fixture("functions")
    rotations = rot6d_to_matrix(seeded_input("rot6d", (64, 6)))
    expected.check("rot6d_to_rotmat", rotations)
    expected.check("rotmat_to_rot6d", matrix_to_rot6d(rotations))


def test_pixel_order(load_fixture) -> None:
    """Feature c·196 + r·14 + s of a patch is number c of its pixel (r, s); the fixture holds 10000·patch + feature."""
    head = PixelHead(588, 3, 14)
    head.proj.weight.data, head.proj.bias.data = torch.eye(588), torch.zeros(588)
    numbered = torch.arange(6.0)[:, None] * 10000 + torch.arange(588.0)
    assert torch.equal(
        head(numbered[None], (2, 3)), torch.from_numpy(load_fixture("functions")["pixel_shuffle_index_2x3"])
    )


def test_crop_backbone(weights: SeededWeights, load_fixture) -> None:
    expected = load_fixture("vit")
    backbone = weights.fill(CropVit(CropVitConfig(depth=2)), "human.backbone")
    images = seeded_input("vit.img", (2, 3, 256, 192))
    tokens = backbone.embed(images)
    expected.check("patch_embed", backbone.patch_embed(images)[..., ::16])
    expected.check("tokens", tokens[..., ::16])
    first = backbone.blocks[0](tokens)
    expected.check("block0", first[..., ::16])
    expected.check("block1", backbone.blocks[1](first)[..., ::16])


@pytest.mark.slow
def test_crop_backbone_whole(weights: SeededWeights, load_fixture) -> None:
    backbone = weights.fill(CropVit(CropVitConfig()), "human.backbone")
    out = backbone(seeded_input("vit.img", (2, 3, 256, 192)))
    load_fixture("vit").check("out", out.transpose(1, 2).unflatten(2, (16, 12))[:, ::8])


def test_human_head(weights: SeededWeights, load_fixture) -> None:
    expected = load_fixture("human_head")
    head = weights.fill(SmplHead(SmplHeadConfig(), context_dim=1280), "human.head")
    context = seeded_input("hh.feat", (1, 3, 1280, 16, 12))[0].flatten(2).transpose(1, 2)
    bbox_info = seeded_input("hh.bbox", (1, 3, 3), 0.5)[0]
    layer, token = head.layers[0], head.start_token(bbox_info)
    expected.check("tok0", token)
    token = token + layer.attend_self(token)
    expected.check("after_self", token)
    token = token + layer.attend_context(token, context)
    expected.check("after_cross", token)
    expected.check("after_ff", token + layer.mlp(layer.mlp_norm(token)))
    rotations, betas, token = head(context, bbox_info)
    expected.check("token_out", token)
    expected.check("pose_cam", rotations, limit=3e-5)
    expected.check("betas", betas.mean(0))


ALIGN_CASES = {
    "n3_fps6": (1, 3, 12, 6.0),
    "n3_fps12": (1, 3, 12, 12.0),
    "n4_fps2p5": (1, 4, 8, 2.5),
    "b2_n4_fps6": (2, 4, 8, 6.0),
    "n130_fps6": (1, 130, 3, 6.0),
    "n70_fps3": (1, 70, 3, 3.0),
    "n9_fps24": (1, 9, 4, 24.0),
}


@pytest.fixture(scope="module")
def align_net(weights: SeededWeights):
    net = AlignNet(AlignNetConfig(), hidden_dim=2048, token_dim=1024, num_special_tokens=5)
    return weights.fill(net, "align")


@pytest.mark.parametrize("name", ALIGN_CASES)
def test_align_net(align_net: AlignNet, load_fixture, name) -> None:
    expected = load_fixture("alignnet")
    batch, frames, patches, fps = ALIGN_CASES[name]
    hidden = seeded_input(f"align.h.{name}", (batch, frames, 5 + patches, 2048))
    token = seeded_input(f"align.c.{name}", (batch, frames, 1, 1024), 2.0)[:, None, :, 0]
    timestamps = (torch.arange(frames, dtype=torch.float64) / fps).expand(batch, -1)
    positions = time_positions(timestamps, 6.0)
    assert torch.equal(positions[0], torch.from_numpy(expected[f"{name}_time_positions"]))
    raw_scale, raw = align_net.decode(hidden, token, torch.ones(batch, 1, frames, dtype=torch.bool), positions)
    expected.check(f"{name}_scale", torch.nn.functional.softplus(raw_scale))
    expected.check(f"{name}_trans_cam", points_from_log_depth(raw))


def test_align_layer(align_net: AlignNet, load_fixture) -> None:
    expected = load_fixture("alignnet")
    hidden = seeded_input("align.h.n3_fps6", (1, 3, 17, 2048))
    token = seeded_input("align.c.n3_fps6", (1, 3, 1, 1024), 2.0)[:, None, :, 0]
    positions = torch.arange(3)[None]
    query = torch.cat([align_net.scale_token[:, None], align_net.human_adapter(token)], dim=2)
    memory = align_net.encode_memory(hidden)
    query_rotary, memory_rotary = align_net._rotaries(positions, num_tokens=17)
    valid = torch.ones(1, 1, 4, dtype=torch.bool)
    layer = align_net.layers[0]
    expected.check("layer0_query", query)
    expected.check("layer0_kv", memory[..., ::4])
    after_self = layer.attend_self(query, query_rotary, valid)
    expected.check("layer0_after_self", after_self)
    expected.check("layer0_after_cross", layer.attend_memory(after_self, memory, query_rotary, memory_rotary))
    expected.check("layer0_layer0", layer(query, memory, valid, query_rotary, memory_rotary) - query)


def test_crop_branch_divides_boxes_and_drops_margins() -> None:
    """The wiring around backbone and head, on tiny sizes: all people and frames at once equal one at a time."""
    torch.manual_seed(0)
    config = CropBranchConfig(
        backbone=CropVitConfig(dim=16, depth=1, num_heads=2),
        head=SmplHeadConfig(dim=16, depth=1, num_heads=2, head_dim=8),
    )
    branch = CropBranch(config).eval()
    patches, bbox_info = torch.rand(1, 2, 3, 3, 256, 256), torch.rand(1, 2, 3, 3) * 100
    intrinsics = torch.diag(torch.tensor([200.0, 300.0, 1.0])).expand(1, 3, 3, 3)
    humans = HumanInputs(valid=torch.ones(1, 2, 3, dtype=torch.bool), patches=patches, bbox_info=bbox_info)
    out = branch(humans, torch.zeros(1, 3), intrinsics)
    context = branch.backbone(patches[0, 1, 2:, ..., 32:224])
    rotations, _, token = branch.head(context, bbox_info[0, 1, 2:] / 250)
    torch.testing.assert_close(out.rotations[0, 1, 2], rotations[0])
    torch.testing.assert_close(out.token[0, 1, 2], token[0])


def test_rotary_tables(load_fixture) -> None:
    expected = load_fixture("functions")
    for length in (6, 150):
        rotary = rotary_1d(torch.arange(length), 64, max_length=120)
        expected.check(f"rope1d_cos_len{length}", rotary.cos)
        expected.check(f"rope1d_sin_len{length}", rotary.sin)
    rotary = rotary_2d(torch.from_numpy(expected["rope2d_pos"])[:, None], 64)
    expected.check("rope2d_out", rotary.rotate(seeded_input("rope2d.tok", (2, 3, 17, 64))))
    assert torch.equal(grid_positions(*GRID) - 1, torch.from_numpy(expected["position_getter_3x4"])[0])


def test_tiny_inputs_show_every_epsilon(weights: SeededWeights, align_net: AlignNet, load_fixture, rotary) -> None:
    expected = load_fixture("eps_probe")
    decoder = weights.fill(AlternatingDecoder(DecoderConfig(depth=2)), "scene.decoder")
    encoder = weights.fill(DinoEncoder(DinoConfig(depth=1)), "scene.encoder")
    branch = BranchDecoder(BranchDecoderConfig(depth=1), input_dim=2048, output_dim=1024)
    branch = weights.fill(branch, "scene.point_decoder")
    x = seeded_input("eps.x1024", (2, 17, 1024), 1e-4)
    expected.check("decoder0", decoder.blocks[0](x, rotary))
    expected.check("enc_block0", encoder.blocks[0](x))
    expected.check("enc_norm", encoder.norm(x))
    expected.check("point_block0", branch.blocks[0](x, rotary))

    backbone = weights.fill(CropVit(CropVitConfig(depth=1)), "human.backbone")
    y = seeded_input("eps.x1280", (2, 12, 1280), 1e-4)
    expected.check("vit_block0", backbone.blocks[0](y))
    expected.check("vit_last_norm", backbone.norm(y))

    layer = weights.fill(SmplHead(SmplHeadConfig(depth=1), context_dim=1280), "human.head").layers[0]
    token, context = seeded_input("eps.tok", (2, 1, 1024), 1e-3), seeded_input("eps.ctx", (2, 12, 1280), 1e-3)
    expected.check("hh_self", layer.attend_self(token))
    expected.check("hh_cross", layer.attend_context(token, context))
    expected.check("hh_ff", layer.mlp(layer.mlp_norm(token)))

    hidden = seeded_input("eps.x2048", (1, 2, 17, 2048), 1e-3)
    expected.check("align_register", align_net.special_adapter(hidden[:, :, :5]))
    expected.check("align_patch", align_net.patch_adapter(hidden[:, :, 5:]))
    expected.check("align_cam", align_net.human_adapter(seeded_input("eps.cam", (1, 2, 1024), 1e-3)))
    z = seeded_input("eps.x512", (2, 3, 512), 1e-3)
    for name in ("norm1", "norm2", "norm3"):
        expected.check(f"align_{name}", getattr(align_net.layers[0], name)(z))
