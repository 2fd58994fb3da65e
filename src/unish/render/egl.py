"""The fast renderer: OpenGL 3.3 without a window, through EGL (a graphics card, or Mesa's llvmpipe on the CPU)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from unish.errors import InputError
from unish.render.drawables import DynamicDrawable, StaticDrawable
from unish.render.plain import NEAR
from unish.render.scene import SCENE_ID, SKY_ID, Frame, Lighting, Scene
from unish.render.shaders import (
    LIGHT_VERTEX_SHADER,
    SHADOW_FRAGMENT_SHADER,
    SHADOW_VERTEX_SHADER,
    TRUTH_FRAGMENT_SHADER,
    VERTEX_SHADER,
    write_light_shader,
)

FAR = 1000.0
STILL_SHADOW_SIDE, PEOPLE_SHADOW_SIDE = 512, 256
DEVICE_VARIABLE = "UNISH_EGL_DEVICE"
TEXTURE_UNIT, STILL_UNIT, PEOPLE_UNIT, TRUTH_UNIT = range(4)


def _in_own_context(method: Callable[..., Any]) -> Callable[..., Any]:
    """OpenGL draws in the context that is current, which may be that of another renderer."""

    @wraps(method)
    def call(self: EglRenderer, *arguments: Any) -> Any:
        with self._gl:
            return method(self, *arguments)

    return call


class EglRenderer:
    """Depth, ids, normals and colours at the pixel centres in one pass; mip-mapped textures and soft sun shadows.

    The shadows of what stands still are drawn when a scene is loaded, those of people in every frame.

    The first device of EGL is used (a graphics card comes before the CPU, where the driver lists one); the environment
    variable ``UNISH_EGL_DEVICE`` chooses another by its number. Only llvmpipe was tried, no graphics card.

    Args:
        samples: above 1, the colours come from a second, multisampled pass with smooth edges.

    Raises:
        InputError: moderngl is not installed, the system has no EGL that gives OpenGL 3.3, or the device is no number.
    """

    name = "egl"

    def __init__(self, *, samples: int = 4) -> None:
        self._gl: Any = _create_context()
        self._samples = min(samples, self._gl.max_samples) if samples > 1 else 0
        program = self._gl.program
        self._truth: Any = program(vertex_shader=VERTEX_SHADER, fragment_shader=TRUTH_FRAGMENT_SHADER)
        self._shadow: Any = program(vertex_shader=SHADOW_VERTEX_SHADER, fragment_shader=SHADOW_FRAGMENT_SHADER)
        self._still_shadows = _ShadowMap(self._gl, STILL_SHADOW_SIDE)
        self._people_shadows = _ShadowMap(self._gl, PEOPLE_SHADOW_SIDE)
        self._lights: dict[tuple[int, bool, bool], tuple[Any, Any]] = {}
        self._parts: tuple[StaticDrawable | DynamicDrawable, ...] = ()
        self._textures: ndarray | None = None
        self._texture_array: Any = None
        self._targets: dict[tuple[int, int], _Targets] = {}

    @_in_own_context
    def load(self, scene: Scene) -> None:
        """Upload everything that stays through the clip, and draw its shadows."""
        for part in self._parts:
            part.release()
        self._choose_light(scene)
        programs = (self._truth, self._shadow, self._lit) if self._samples else (self._truth, self._shadow)
        self._shell = StaticDrawable(self._gl, scene.shell, programs)
        self._objects = StaticDrawable(self._gl, scene.objects, programs)
        self._people = DynamicDrawable(self._gl, scene.people, programs)
        self._parts = (self._shell, self._objects, self._people)
        self._light = scene.lighting
        if scene.textures is not self._textures:
            self._upload_textures(scene.textures)
        to_still = shadow_matrix(scene.lighting)
        _set_light(self._lit, scene.lighting)
        _set(self._lit, "to_still", to_still.T)
        self._still_shadows.start()
        if scene.lighting.shadow_radius > 0:
            _set(self._shadow, "to_shadow", to_still.T)
            self._objects.draw(self._shadow)

    def render(
        self,
        people_vertices: Float32[ndarray, "V 3"],
        people_normals: Float32[ndarray, "V 3"],
        w2c: Float[ndarray, "4 4"],
        intrinsics: Float[ndarray, "3 3"],
        size: tuple[int, int],
    ) -> Frame:
        """Draw the loaded scene with the people where they are now (scene axes)."""
        self.submit(people_vertices, people_normals, w2c, intrinsics, size)
        return self.read_back()

    @_in_own_context
    def submit(
        self,
        people_vertices: Float32[ndarray, "V 3"],
        people_normals: Float32[ndarray, "V 3"],
        w2c: Float[ndarray, "4 4"],
        intrinsics: Float[ndarray, "3 3"],
        size: tuple[int, int],
    ) -> None:
        """First half of ``render``: issue all draw calls, and do not wait for them."""
        self._people.move(people_vertices, people_normals)
        self._render_people_shadows(people_vertices)
        planes = view_planes(w2c, intrinsics, size)
        for part in (self._shell, self._objects):
            part.select(planes, w2c[2, :3])
        if self._texture_array is not None:
            self._texture_array.use(TEXTURE_UNIT)
        self._still_shadows.use(STILL_UNIT)
        self._people_shadows.use(PEOPLE_UNIT)
        if size not in self._targets:
            self._targets[size] = _Targets(self._gl, size, self._samples)
        self._target = self._targets[size]
        self._set_camera(w2c, intrinsics, size)
        self._target.start_truth()
        self._draw_surfaces(self._truth)
        self._target.start_colour()
        if self._samples:
            self._draw_surfaces(self._lit)
        else:
            self._whole_picture.render(vertices=3)

    @_in_own_context
    def finish(self) -> None:
        """Wait until what ``submit`` asked for is drawn."""
        self._gl.finish()

    @_in_own_context
    def read_back(self) -> Frame:
        """Second half of ``render``: wait for the frame and read it."""
        return self._target.read(self._gl)

    def _set_camera(self, w2c: Float[ndarray, "4 4"], intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]) -> None:
        rotation = w2c[:3, :3]
        for program in (self._truth, self._lit):
            _set(program, "w2c", w2c.T)
            _set(program, "projection", projection_matrix(intrinsics, size).T)
            _set(program, "eye", -rotation.T @ w2c[:3, 3])
            _set(program, "to_ray", (rotation.T @ np.linalg.inv(intrinsics)).T)

    def _choose_light(self, scene: Scene) -> None:
        """What lights pixels: while they are drawn where there are several samples of each, else afterwards."""
        light = scene.lighting
        gloss = any(mesh.gloss is not None and mesh.gloss.any() for mesh in (scene.shell, scene.objects, scene.people))
        key = (int(light.lamp_colours.any(axis=1).sum()), gloss, light.shadow_radius > 0)
        if key not in self._lights:
            smooth = self._samples > 0
            fragment = write_light_shader(while_drawing=smooth, num_lamps=key[0], gloss=key[1], shadows=key[2])
            vertex = VERTEX_SHADER if smooth else LIGHT_VERTEX_SHADER
            program = self._gl.program(vertex_shader=vertex, fragment_shader=fragment)
            self._lights[key] = program, None if smooth else self._gl.vertex_array(program, [])
        self._lit, self._whole_picture = self._lights[key]

    def _draw_surfaces(self, program: Any) -> None:
        """Roughly front to back, so that most hidden fragments are never painted."""
        self._people.draw(program)
        self._objects.draw_selected(program)
        self._shell.draw_selected(program)

    def _render_people_shadows(self, vertices: Float32[ndarray, "V 3"]) -> None:
        if self._light.shadow_radius <= 0:
            return
        self._people_shadows.start()
        texels = np.array([2 * self._light.shadow_radius / STILL_SHADOW_SIDE, 0.0])
        if len(vertices):
            to_people, texels[1] = fit_shadow(self._light, vertices)
            _set(self._shadow, "to_shadow", to_people.T)
            _set(self._lit, "to_people", to_people.T)
            # A body casts the same shadow without the half that faces away from the sun (y is mirrored in the map).
            self._gl.front_face = "cw"
            self._gl.enable(self._gl.CULL_FACE)
            self._people.draw(self._shadow)
            self._gl.disable(self._gl.CULL_FACE)
        _set(self._lit, "texel_metres", texels)

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


class _ShadowMap:
    """A shadow map: depth along the sunlight."""

    def __init__(self, gl: Any, side: int) -> None:
        import moderngl

        self._map = gl.depth_texture((side, side))
        self._map.compare_func = "<="
        self._map.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._target = gl.framebuffer(depth_attachment=self._map)

    def start(self) -> None:
        """Draw into it from now on, from an empty map."""
        self._target.use()
        self._target.clear()

    def use(self, unit: int) -> None:
        """Let shaders read it."""
        self._map.use(unit)


class _Targets:
    """Framebuffers of one image size."""

    def __init__(self, gl: Any, size: tuple[int, int], samples: int) -> None:
        import moderngl

        self._size = size
        shape = (size[1], size[0])
        self._pixels = gl.texture(shape, 4, dtype="u4")
        self._pixels.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._truth = gl.framebuffer([self._pixels], gl.depth_renderbuffer(shape))
        self._samples = samples
        if samples:
            self._smooth = gl.framebuffer(
                [gl.renderbuffer(shape, 4, samples=samples)], gl.depth_renderbuffer(shape, samples=samples)
            )
            self._resolved = gl.framebuffer([gl.renderbuffer(shape, 4)])
        else:
            self._lit = gl.framebuffer([gl.renderbuffer(shape, 4, dtype="u4")])

    def start_truth(self) -> None:
        """Direct the following draw calls to the target of the pixel centres."""
        self._truth.use()
        self._truth.clear()

    def start_colour(self) -> None:
        """Draw the picture from now on: smooth, or from the truth, which shaders may read."""
        if self._samples:
            self._smooth.use()
            self._smooth.clear()
        else:
            self._lit.use()
            self._pixels.use(TRUTH_UNIT)

    def read(self, gl: Any) -> Frame:
        height, width = self._size
        whole = self._truth if self._samples else self._lit
        words = np.frombuffer(whole.read(components=4, dtype="u4"), np.uint32).reshape(height, width, 4)
        pixels = words.view(np.uint8)  # colour and identity are the bytes 4 to 7 of the 16
        if self._samples:
            gl.copy_framebuffer(self._resolved, self._smooth)
            colour = np.frombuffer(self._resolved.read(components=3, alignment=1), np.uint8).reshape(height, width, 3)
        else:
            colour = np.ascontiguousarray(pixels[..., 4:7])
        z = words.view(np.float32)[..., 0]
        hit = z > 0
        ids = np.where(hit, pixels.view(np.int8)[..., 7], np.int16(SCENE_ID))
        return Frame(
            colour=colour,
            depth=np.where(hit & (ids != SKY_ID), z, np.float32(0)),
            ids=ids,
            normals=words.view(np.int16)[..., 4:7] * np.float32(1 / 32767),
        )


def _create_context() -> Any:
    # llvmpipe draws in the calling thread: for more cores, start more processes.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    device = os.environ.get(DEVICE_VARIABLE, "0")
    if not device.isdecimal():
        raise InputError(f"{DEVICE_VARIABLE} is {device!r}; set it to the number of an EGL device, 0 for the first")
    try:
        import moderngl
    except ImportError:
        raise InputError("OpenGL rendering needs moderngl; pip install 'unish[render]'") from None
    try:
        create: Any = moderngl.create_context
        context = create(standalone=True, backend="egl", require=330, device_index=int(device))
    except Exception as error:
        raise InputError(f"no OpenGL through EGL ({error}); install libegl1 and libgl1-mesa-dri") from None
    context.enable(moderngl.DEPTH_TEST)
    return context


def _set_light(surface: Any, light: Lighting) -> None:
    for name in ("sun_direction", "sun_colour", "sky_colour", "ground_colour", "fog_colour", "up"):
        _set(surface, name, getattr(light, name))
    shining = light.lamp_colours.any(axis=1)
    _set(surface, "lamp_position", light.lamp_positions[shining])
    _set(surface, "lamp_colour", light.lamp_colours[shining])
    _set(surface, "fog_density", np.array(light.fog_density))
    for name, unit in (("still_shadows", STILL_UNIT), ("people_shadows", PEOPLE_UNIT), ("truth", TRUTH_UNIT)):
        if name in surface:
            surface[name].value = unit


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


def view_planes(
    w2c: Float[ndarray, "4 4"], intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]
) -> Float[ndarray, "5 4"]:
    """Half-spaces n·x + d ≥ 0 (scene axes) whose common part is what the picture can show, from ``NEAR`` on."""
    u, v, z = intrinsics
    height, width = size
    rows = np.stack([u, width * z - u, v, height * z - v, z]) @ w2c[:3]
    rows[4, 3] -= NEAR
    return rows


def sun_axes(light: Lighting) -> Float[ndarray, "3 3"]:
    """Rows: two axes across the sunlight, and the direction in which it shines."""
    forward = -light.sun_direction.astype(np.float64)
    helper = np.array([1.0, 0, 0]) if abs(forward[0]) < 0.9 else np.array([0, 1.0, 0])
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def shadow_matrix(light: Lighting) -> Float32[ndarray, "4 4"]:
    """Parallel projection along the sun that fits the ball of shadows into the clip cube."""
    matrix = np.eye(4)
    matrix[:3, :3] = sun_axes(light) / max(light.shadow_radius, 1e-3)
    matrix[:3, 3] = -matrix[:3, :3] @ light.shadow_centre
    return matrix.astype(np.float32)


def fit_shadow(light: Lighting, vertices: Float32[ndarray, "V 3"]) -> tuple[Float32[ndarray, "4 4"], float]:
    """Parallel projection along the sun that fits the vertices into the clip cube, and metres per texel of its map.

    Nothing reaches the far end of the cube, where what is farther away is compared.
    """
    axes = sun_axes(light)
    in_light = vertices @ axes.astype(np.float32).T
    low, high = in_light.min(0).astype(np.float64), in_light.max(0).astype(np.float64)
    half = np.maximum((high - low) / 2, 1e-3) * 1.02
    half[:2] = half[:2].max()
    matrix = np.eye(4)
    matrix[:3, :3] = axes / half[:, None]
    matrix[:3, 3] = -(low + high) / 2 / half
    return matrix.astype(np.float32), float(2 * half[0] / PEOPLE_SHADOW_SIDE)


def _set(program: Any, name: str, value: ndarray) -> None:
    """Set a uniform if the compiler has kept it."""
    if name in program:
        program[name].write(np.ascontiguousarray(value, np.float32).tobytes())
