"""The fast renderer: OpenGL 3.3 without a window, through EGL (a graphics card, or Mesa's llvmpipe on the CPU)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from unish.errors import InputError
from unish.render.plain import NEAR
from unish.render.scene import SCENE_ID, SKY_ID, Frame, Lighting, Mesh, Scene

FAR = 1000.0
SHADOW_SIDE = 512

VERTEX_SHADER = """
#version 330
uniform mat4 w2c; uniform mat4 projection; uniform mat4 to_shadow;
in vec3 position; in vec3 normal; in vec3 tint; in vec2 uv; in float layer; in float identity;
out vec3 world; out vec3 world_normal; out vec3 paint; out vec2 texel; flat out float slice; flat out float person;
out float z; out vec4 in_shadow;
void main() {
    vec4 local = w2c * vec4(position, 1.0);
    world = position; world_normal = normal; paint = tint; texel = uv; slice = layer; person = identity; z = local.z;
    in_shadow = to_shadow * vec4(position, 1.0);
    gl_Position = projection * local;
}
"""

FRAGMENT_SHADER = """
#version 330
uniform sampler2DArray textures; uniform sampler2DShadow shadows; uniform float shadow_on; uniform mat4 w2c;
uniform vec3 eye, up, sun_direction, sun_colour, sky_colour, ground_colour, fog_colour; uniform float fog_density;
uniform int num_lamps; uniform vec3 lamp_position[2]; uniform vec3 lamp_colour[2];
in vec3 world; in vec3 world_normal; in vec3 paint; in vec2 texel; flat in float slice; flat in float person;
in float z; in vec4 in_shadow;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 surface; layout(location = 2) out float identity;
float sunlit() {
    vec3 at = in_shadow.xyz * 0.5 + 0.5;
    if (shadow_on < 0.5 || any(lessThan(at, vec3(0.0))) || any(greaterThan(at, vec3(1.0)))) return 1.0;
    return texture(shadows, at - vec3(0.0, 0.0, 0.004));
}
void main() {
    vec3 albedo = paint;
    if (slice > -0.5) albedo *= texture(textures, vec3(texel, slice)).rgb;
    albedo *= albedo;  // gamma 2 stands for sRGB's curve in both renderers
    vec3 result = albedo, n = vec3(0.0);
    float len = length(world_normal);
    if (len > 0.1) {
        n = world_normal / len;
        if (dot(n, eye - world) < 0.0) n = -n;
        vec3 light = mix(ground_colour, sky_colour, 0.5 + 0.5 * dot(n, up));
        float facing = dot(n, sun_direction);
        if (facing > 0.0) light += facing * sun_colour * sunlit();
        for (int i = 0; i < num_lamps; ++i) {
            vec3 ray = lamp_position[i] - world; float d2 = dot(ray, ray);
            light += lamp_colour[i] * max(dot(n, ray), 0.0) / sqrt(d2 + 1e-9) / (0.3 + d2);
        }
        result = mix(fog_colour, albedo * light, exp(-fog_density * z));
    }
    colour = vec4(sqrt(clamp(result, 0.0, 1.0)), 1.0);
    surface = vec4(mat3(w2c) * n, z);
    identity = person;
}
"""

SHADOW_VERTEX_SHADER = """
#version 330
uniform mat4 to_shadow; in vec3 position;
void main() { gl_Position = to_shadow * vec4(position, 1.0); }
"""
SHADOW_FRAGMENT_SHADER = "#version 330\nvoid main() {}"


class EglRenderer:
    """Depth, ids, normals and colours at the pixel centres in one pass; mip-mapped textures and sun shadows.

    Args:
        samples: above 1, the colours come from a second, multisampled pass with smooth edges.

    Raises:
        InputError: moderngl is not installed, or the system has no EGL that gives OpenGL 3.3.
    """

    name = "egl"

    def __init__(self, *, samples: int = 4) -> None:
        # One thread of llvmpipe per process: who wants more cores starts more processes.
        os.environ.setdefault("LP_NUM_THREADS", "1")
        try:
            import moderngl
        except ImportError:
            raise InputError("OpenGL rendering needs moderngl; pip install 'unish[render]'") from None
        try:
            create: Any = moderngl.create_context
            self._gl: Any = create(standalone=True, backend="egl", require=330)
        except Exception as error:
            raise InputError(f"no OpenGL through EGL ({error}); install libegl1 and libgl1-mesa-dri") from None
        self._samples = min(samples, self._gl.max_samples) if samples > 1 else 0
        self._gl.enable(moderngl.DEPTH_TEST)
        self._surface: Any = self._gl.program(vertex_shader=VERTEX_SHADER, fragment_shader=FRAGMENT_SHADER)
        self._shadow: Any = self._gl.program(vertex_shader=SHADOW_VERTEX_SHADER, fragment_shader=SHADOW_FRAGMENT_SHADER)
        self._shadow_map = self._gl.depth_texture((SHADOW_SIDE, SHADOW_SIDE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._shadow_target = self._gl.framebuffer(depth_attachment=self._shadow_map)
        self._parts: list[_Part] = []
        self._textures: ndarray | None = None
        self._texture_array: Any = None
        self._targets: dict[tuple[int, int], _Targets] = {}

    def load(self, scene: Scene) -> None:
        """Upload everything that stays through the clip."""
        for part in self._parts:
            part.release()
        meshes = (scene.shell, scene.objects, scene.people)
        self._parts = [_Part(self._gl, mesh, (self._surface, self._shadow)) for mesh in meshes]
        self._light = scene.lighting
        if scene.textures is not self._textures:
            self._upload_textures(scene.textures)
        self._set_light(scene.lighting)

    def draw(
        self,
        people_vertices: Float32[ndarray, "V 3"],
        people_normals: Float32[ndarray, "V 3"],
        w2c: Float[ndarray, "4 4"],
        intrinsics: Float[ndarray, "3 3"],
        size: tuple[int, int],
    ) -> Frame:
        """Draw the loaded scene with the people where they are now (scene axes)."""
        self._parts[2].move(people_vertices, people_normals)
        targets = self._targets.get(size)
        if targets is None:
            targets = self._targets[size] = _Targets(self._gl, size, self._samples)
        self._draw_shadows()
        projection = projection_matrix(intrinsics, size)
        eye = -w2c[:3, :3].T @ w2c[:3, 3]
        _set(self._surface, "w2c", w2c.T)
        _set(self._surface, "projection", projection.T)
        _set(self._surface, "eye", eye)
        if self._texture_array is not None:
            self._texture_array.use(0)
        self._shadow_map.use(1)
        for target in targets.passes:
            target.use()
            target.clear()
            # Roughly front to back, so that most hidden fragments are never shaded.
            for part in reversed(self._parts):
                part.draw()
        return targets.read(self._gl)

    def _draw_shadows(self) -> None:
        if self._light.shadow_radius <= 0:
            return
        self._shadow_target.use()
        self._shadow_target.clear()
        for part in self._parts[1:]:
            part.draw_shadow()

    def _upload_textures(self, textures: ndarray) -> None:
        import moderngl

        if self._texture_array is not None:
            self._texture_array.release()
            self._texture_array = None
        self._textures = textures
        if len(textures) == 0:
            return
        num, side = textures.shape[:2]
        self._texture_array = self._gl.texture_array((side, side, num), 3, np.ascontiguousarray(textures).tobytes())
        self._texture_array.build_mipmaps()
        self._texture_array.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)

    def _set_light(self, light: Lighting) -> None:
        for name in ("sun_direction", "sun_colour", "sky_colour", "ground_colour", "fog_colour", "up"):
            _set(self._surface, name, getattr(light, name))
        _set(self._surface, "lamp_position", light.lamp_positions)
        _set(self._surface, "lamp_colour", light.lamp_colours)
        self._surface["num_lamps"].value = 2 if light.lamp_colours.any() else 0
        self._surface["fog_density"].value = light.fog_density
        self._surface["shadow_on"].value = float(light.shadow_radius > 0)
        self._surface["textures"].value = 0
        self._surface["shadows"].value = 1
        to_shadow = shadow_matrix(light).T
        _set(self._surface, "to_shadow", to_shadow)
        _set(self._shadow, "to_shadow", to_shadow)


class _Part:
    """One mesh on the graphics side: what may move (positions, normals) apart from what may not."""

    def __init__(self, gl: Any, mesh: Mesh, programs: tuple[Any, Any]) -> None:
        self._num_vertices = len(mesh.vertices)
        self._arrays: list[Any] = []
        self._buffers: list[Any] = []
        if len(mesh.faces) == 0:
            return
        looks = np.concatenate([mesh.colours, mesh.uv, mesh.layers[:, None], mesh.ids[:, None]], axis=1)
        geometry = np.concatenate([mesh.vertices, mesh.normals], axis=1)
        self._geometry = gl.buffer(geometry.astype(np.float32).tobytes(), dynamic=True)
        looks_buffer = gl.buffer(looks.astype(np.float32).tobytes())
        index = gl.buffer(np.ascontiguousarray(mesh.faces, np.int32).tobytes())
        self._buffers = [self._geometry, looks_buffer, index]
        surface, shadow = programs
        self._arrays = [
            gl.vertex_array(
                surface,
                [
                    (self._geometry, "3f 3f", "position", "normal"),
                    (looks_buffer, "3f 2f 1f 1f", "tint", "uv", "layer", "identity"),
                ],
                index,
            ),
            gl.vertex_array(shadow, [(self._geometry, "3f 3x4", "position")], index),
        ]

    def move(self, vertices: ndarray, normals: ndarray) -> None:
        if len(vertices) != self._num_vertices:
            raise ValueError(f"{len(vertices)} vertices given for a mesh of {self._num_vertices}")
        if self._arrays:
            self._geometry.write(np.concatenate([vertices, normals], axis=1).astype(np.float32).tobytes())

    def draw(self) -> None:
        if self._arrays:
            self._arrays[0].render()

    def draw_shadow(self) -> None:
        if self._arrays:
            self._arrays[1].render()

    def release(self) -> None:
        for item in (*self._arrays, *self._buffers):
            item.release()


class _Targets:
    """Framebuffers of one image size."""

    def __init__(self, gl: Any, size: tuple[int, int], samples: int) -> None:
        self._size = size
        shape = (size[1], size[0])
        self._whole = gl.framebuffer(
            [gl.renderbuffer(shape, 4), gl.renderbuffer(shape, 4, dtype="f4"), gl.renderbuffer(shape, 1, dtype="f4")],
            gl.depth_renderbuffer(shape),
        )
        self.passes = [self._whole]
        self._smooth: Any = None
        if samples:
            self._smooth = gl.framebuffer(
                [gl.renderbuffer(shape, 4, samples=samples)], gl.depth_renderbuffer(shape, samples=samples)
            )
            self._resolved = gl.framebuffer([gl.renderbuffer(shape, 4)])
            self.passes.append(self._smooth)

    def read(self, gl: Any) -> Frame:
        height, width = self._size
        coloured = self._whole
        if self._smooth is not None:
            gl.copy_framebuffer(self._resolved, self._smooth)
            coloured = self._resolved
        colour = np.frombuffer(coloured.read(components=3, alignment=1), np.uint8).reshape(height, width, 3)
        surface = np.frombuffer(self._whole.read(components=4, attachment=1, dtype="f4"), np.float32)
        surface = surface.reshape(height, width, 4)
        identity = np.frombuffer(self._whole.read(components=1, attachment=2, dtype="f4"), np.float32)
        hit = surface[..., 3] > 0
        ids = np.where(hit, np.rint(identity.reshape(height, width)), SCENE_ID).astype(np.int16)
        return Frame(
            colour=colour,
            depth=np.where(hit & (ids != SKY_ID), surface[..., 3], 0).astype(np.float32),
            ids=ids,
            normals=np.ascontiguousarray(surface[..., :3]),
        )


def projection_matrix(intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]) -> Float32[ndarray, "4 4"]:
    """Camera points to OpenGL clip coordinates. The framebuffer's row 0 is the picture's top row: nothing to flip.

    GL's pixel centres lie at +0.5 as ours do, so x_ndc = 2u/W − 1 and y_ndc = 2v/H − 1.
    """
    height, width = size
    to_ndc = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    matrix = np.zeros((4, 4))
    matrix[:2, :3] = (to_ndc @ intrinsics)[:2]
    matrix[2, 2:] = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    matrix[3, 2] = 1
    return matrix.astype(np.float32)


def shadow_matrix(light: Lighting) -> Float32[ndarray, "4 4"]:
    """Parallel projection along the sun that fits the ball of shadows into the clip cube."""
    radius = max(light.shadow_radius, 1e-3)
    forward = -light.sun_direction.astype(np.float64)
    helper = np.array([1.0, 0, 0]) if abs(forward[0]) < 0.9 else np.array([0, 1.0, 0])
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward]) / radius
    matrix[:3, 3] = -matrix[:3, :3] @ light.shadow_centre
    return matrix.astype(np.float32)


def _set(program: Any, name: str, value: ndarray) -> None:
    """Set a uniform if the compiler has kept it."""
    if name in program:
        program[name].write(np.ascontiguousarray(value, np.float32).tobytes())
