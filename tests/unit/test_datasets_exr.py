"""OpenEXR depth maps: what is written comes back, what is not read is refused by name."""

from pathlib import Path

import numpy as np
import pytest

from unish.errors import InputError
from unish.io.exr import read_exr, read_exr_depth
from written_exr import write_exr


@pytest.mark.parametrize("compression", [0, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (16, 5), (37, 22)])
def test_channels_come_back_exactly(tmp_path: Path, compression: int, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.float32) * 12.5
    written = {
        "Depth": smooth,
        "noise.G": generator.normal(size=size).astype(np.float32),
        "A": np.round(generator.random(size), 2).astype(np.float16),
    }
    path = write_exr(tmp_path / "a.exr", written, compression=compression, top=-3)
    channels = read_exr(path)
    assert list(channels) == sorted(written)
    for name, values in written.items():
        np.testing.assert_array_equal(channels[name], values.astype(np.float32), err_msg=name)
    np.testing.assert_array_equal(read_exr_depth(path), smooth)


def test_depth_has_many_names(tmp_path: Path) -> None:
    plane = np.ones((2, 3), np.float32)
    for names in (["Z", "A"], ["FinalImage_WorldDepth.R", "B"], ["distance"]):
        path = write_exr(tmp_path / "a.exr", {name: plane * (1 + i) for i, name in enumerate(names)})
        assert (read_exr_depth(path) == 1).all()
    write_exr(tmp_path / "a.exr", {"left": plane, "right": plane})
    with pytest.raises(InputError, match="left, right"):
        read_exr_depth(tmp_path / "a.exr")


def test_what_is_not_read_is_refused(tmp_path: Path) -> None:
    plane = {"Z": np.random.default_rng(0).random((40, 30)).astype(np.float32)}
    path = tmp_path / "a.exr"
    write_exr(path, plane, compression_byte=4)
    with pytest.raises(InputError, match="PIZ"):
        read_exr(path)
    write_exr(path, plane, version=2 | 0x200)
    with pytest.raises(InputError, match="tiled"):
        read_exr(path)
    whole = write_exr(path, plane).read_bytes()
    for broken in (whole[:20], whole[:200], whole[:-30], b"", b"png"):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"a\.exr"):
            read_exr(path)
    with pytest.raises(InputError, match="No such file"):
        read_exr(tmp_path / "b.exr")
