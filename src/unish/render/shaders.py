"""Programs of the OpenGL renderer.

``TRUTH`` writes the nearest surface at every pixel centre, ``LIGHT`` lights each of these pixels once, however many
surfaces lie behind it; ``COLOUR`` lights while it draws, for pictures of several samples per pixel; ``SHADOW`` draws
depth along the sunlight. A pixel of truth has 16 bytes: z (float); three bytes of albedo (``LIGHT`` puts the colour
there) and the identity (one signed byte); normal in camera axes and gloss (four int16 over 32767).
"""

from __future__ import annotations

VERTEX_SHADER = """
#version 330
uniform mat4 w2c; uniform mat4 projection;
in vec3 position; in vec3 normal; in vec4 paint; in vec2 uv; in vec2 tags;
out vec4 world_u; out vec4 normal_v; out vec4 tint_gloss; flat out vec2 layer_identity;
void main() {
    // Packed: what each triangle costs to set up grows with the number of vectors that are interpolated.
    world_u = vec4(position, uv.x); normal_v = vec4(normal, uv.y); tint_gloss = paint; layer_identity = tags;
    gl_Position = projection * (w2c * vec4(position, 1.0));
}
"""

_SURFACE = """
uniform sampler2DArray textures;
in vec4 world_u; in vec4 normal_v; in vec4 tint_gloss; flat in vec2 layer_identity;
vec3 painted() {
    vec3 albedo = tint_gloss.rgb;
    // The branch does not depend on the neighbours that derivatives need: a face has one layer.
    if (layer_identity.x > -0.5) albedo *= texture(textures, vec3(world_u.w, normal_v.w, layer_identity.x)).rgb;
    return albedo;
}
vec3 facing_normal() {
    float len = length(normal_v.xyz);
    if (len < 0.1) return vec3(0.0);
    vec3 n = normal_v.xyz / len;
    return dot(n, eye - world_u.xyz) < 0.0 ? -n : n;
}
"""

_SHADING = """
uniform sampler2DShadow still_shadows, people_shadows;
uniform mat4 to_still, to_people; uniform vec2 texel_metres;
uniform vec3 up, sun_direction, sun_colour, sky_colour, ground_colour, fog_colour; uniform float fog_density;
uniform vec3 lamp_position[NUM_LAMPS > 0 ? NUM_LAMPS : 1], lamp_colour[NUM_LAMPS > 0 ? NUM_LAMPS : 1];

float lit_share(sampler2DShadow shadows, mat4 to_shadow, vec3 at) {
    vec3 uvz = (to_shadow * vec4(at, 1.0)).xyz * 0.5 + 0.5;
    if (any(lessThan(uvz.xy, vec2(0.0))) || any(greaterThan(uvz.xy, vec2(1.0)))) return 1.0;
    uvz.z = min(uvz.z, 1.0);  // behind everything that casts
    // Four taps, each of four texels that are weighted by their distance: a tent three texels wide.
    vec2 step = 0.75 / vec2(textureSize(shadows, 0));
    return 0.25 * (texture(shadows, uvz + vec3(step, 0.0)) + texture(shadows, uvz - vec3(step, 0.0))
        + texture(shadows, uvz + vec3(step.x, -step.y, 0.0)) + texture(shadows, uvz + vec3(-step.x, step.y, 0.0)));
}
float sunlit(vec3 world, vec3 n) {
    if (!SHADOWS) return 1.0;
    // Off the surface and towards the sun by about a texel: no surface shades itself.
    float slope = sqrt(max(1.0 - dot(n, sun_direction) * dot(n, sun_direction), 0.0));
    vec3 away = n * (2.0 * slope) + sun_direction;
    float share = lit_share(still_shadows, to_still, world + away * texel_metres.x);
    return share * lit_share(people_shadows, to_people, world + away * texel_metres.y);
}
vec3 ambient(vec3 direction) { return mix(ground_colour, sky_colour, 0.5 + 0.5 * dot(direction, up)); }
// Blinn-Phong, normalised, with the reflectance of a dielectric; the factor of Lambert's light is 1/pi times pi.
float shine(vec3 n, vec3 to_light, vec3 to_eye, float power) {
    return 0.04 * (power + 2.0) / 8.0 * pow(max(dot(n, normalize(to_light + to_eye)), 0.0), power);
}
vec3 shade(vec3 world, vec3 n, float z, vec3 albedo, float gloss) {
    albedo *= albedo;  // gamma 2 stands for sRGB's curve in both renderers
    vec3 result = albedo;
    if (dot(n, n) > 0.5) {
        float power = exp2(3.0 + 5.0 * gloss);
        vec3 to_eye = normalize(eye - world), light = ambient(n), gleam = vec3(0.0);
        float facing = dot(n, sun_direction);
        if (facing > 0.0) {
            vec3 sun = facing * sun_colour * sunlit(world, n);
            light += sun;
            if (GLOSS && gloss > 0.0) gleam += sun * shine(n, sun_direction, to_eye, power);
        }
        for (int i = 0; i < NUM_LAMPS; ++i) {
            vec3 ray = lamp_position[i] - world; float d2 = dot(ray, ray);
            vec3 to_lamp = ray * inversesqrt(d2 + 1e-9);
            vec3 lamp = lamp_colour[i] * (max(dot(n, to_lamp), 0.0) / (0.3 + d2));
            light += lamp;
            if (GLOSS && gloss > 0.0) gleam += lamp * shine(n, to_lamp, to_eye, power);
        }
        if (GLOSS && gloss > 0.0) {
            float grazing = 1.0 - max(dot(n, to_eye), 0.0), g2 = grazing * grazing;
            gleam += ambient(reflect(-to_eye, n)) * (0.04 + 0.96 * g2 * g2 * grazing);  // Schlick
        }
        result = mix(fog_colour, albedo * light + gloss * gleam, exp(-fog_density * z));
    }
    return sqrt(clamp(result, 0.0, 1.0));
}
"""

_TRUTH_MAIN = """
layout(location = 0) out uvec4 pixel;
uint word(float low, float high) {
    return uint(int(round(low * 32767.0)) & 0xffff) | (uint(int(round(high * 32767.0)) & 0xffff) << 16);
}
void main() {
    vec3 n = mat3(w2c) * facing_normal();
    float z = (w2c * vec4(world_u.xyz, 1.0)).z;
    uvec3 albedo = uvec3(clamp(painted(), 0.0, 1.0) * 255.0 + 0.5);
    uint identity = uint(int(round(layer_identity.y)) & 0xff);
    pixel = uvec4(floatBitsToUint(z), albedo.r | (albedo.g << 8) | (albedo.b << 16) | (identity << 24),
        word(n.x, n.y), word(n.z, tint_gloss.a));
}
"""

_LIGHT_MAIN = """
uniform usampler2D truth; uniform mat3 to_ray;
layout(location = 0) out uvec4 pixel;
vec2 halves(uint word) { return vec2(int(word << 16) >> 16, int(word) >> 16) / 32767.0; }
void main() {
    uvec4 texel = texelFetch(truth, ivec2(gl_FragCoord.xy), 0);
    float z = uintBitsToFloat(texel.r);
    vec2 xy = halves(texel.b), zg = halves(texel.a);
    vec3 albedo = vec3(texel.g & 0xffu, (texel.g >> 8) & 0xffu, (texel.g >> 16) & 0xffu) / 255.0;
    vec3 world = eye + to_ray * vec3(gl_FragCoord.xy, 1.0) * z;
    vec3 n = vec3(xy, zg.x) * mat3(w2c);
    uvec3 colour = uvec3(shade(world, n, z, albedo, zg.y) * 255.0 + 0.5);
    pixel = uvec4(texel.r, colour.r | (colour.g << 8) | (colour.b << 16) | (texel.g & 0xff000000u), texel.ba);
}
"""

_COLOUR_MAIN = """
layout(location = 0) out vec4 colour;
void main() {
    vec3 world = world_u.xyz;
    colour = vec4(shade(world, facing_normal(), (w2c * vec4(world, 1.0)).z, painted(), tint_gloss.a), 1.0);
}
"""

_HEAD = "#version 330\nuniform vec3 eye; uniform mat4 w2c;\n"
TRUTH_FRAGMENT_SHADER = _HEAD + _SURFACE + _TRUTH_MAIN


def write_light_shader(*, while_drawing: bool, num_lamps: int, gloss: bool, shadows: bool) -> str:
    """``COLOUR`` (``while_drawing``) or ``LIGHT`` for what a scene has: software OpenGL pays for branches not taken."""
    constants = f"const int NUM_LAMPS = {num_lamps};\n" + "".join(
        f"const bool {name} = {str(value).lower()};\n" for name, value in (("GLOSS", gloss), ("SHADOWS", shadows))
    )
    return _HEAD + constants + (_SURFACE + _SHADING + _COLOUR_MAIN if while_drawing else _SHADING + _LIGHT_MAIN)


LIGHT_VERTEX_SHADER = """
#version 330
void main() {  // one triangle that covers the picture
    gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}
"""

SHADOW_VERTEX_SHADER = """
#version 330
uniform mat4 to_shadow; in vec3 position;
void main() { gl_Position = to_shadow * vec4(position, 1.0); }
"""
SHADOW_FRAGMENT_SHADER = "#version 330\nvoid main() {}"
