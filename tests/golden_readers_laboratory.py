"""Readers of the golden scene: files of motion laboratories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy import ndarray

from golden_scene import PERSON_IDS, ReadBack, from_export, reads
from unish.body import JOINT_NAMES

CENTRES = [f"{name}_jc" for name in JOINT_NAMES]


def read_trc(path: Path) -> tuple[ndarray, dict[str, ndarray]]:
    """Times and markers (N, 3), metres, by name; by the description of the format, empty fields as NaN."""
    lines = path.read_text().split("\n")
    assert lines[0].split("\t")[0] == "PathFileType"
    facts = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert int(facts["NumMarkers"]) == len(names) and facts["Units"] == "m"
    rows = [line.split("\t")[:-1] for line in lines[6:] if line]
    assert {len(row) for row in rows} == {2 + 3 * len(names)} == {len(lines[4].split("\t")) - 1}
    table = np.array([[float(field) if field else np.nan for field in row] for row in rows])
    assert len(table) == int(facts["NumFrames"])
    np.testing.assert_allclose(np.diff(table[:, 1]), 1 / float(facts["DataRate"]), atol=2e-6)
    markers = table[:, 2:].reshape(len(table), -1, 3)
    return table[:, 1], {name: markers[:, number] for number, name in enumerate(names)}


@reads("trc")
def trc_by_its_words(folder: Path, facts: dict) -> ReadBack:
    joints, times = {}, np.zeros(0)
    for person in PERSON_IDS:
        times, markers = read_trc(folder / "trc" / f"person-{person}.trc")
        joints[person] = from_export(np.stack([markers[name] for name in CENTRES], axis=1), "y")
    return ReadBack(times_s=times, joints=joints)


@reads("trc", "opensim")
def trc_by_opensim(folder: Path, facts: dict) -> ReadBack:
    """Gaps come as NaN."""
    import opensim

    joints, times = {}, np.zeros(0)
    for person in PERSON_IDS:
        table = opensim.TimeSeriesTableVec3(str(folder / "trc" / f"person-{person}.trc"))
        assert table.getTableMetaDataString("Units") == "m"
        times = np.array(table.getIndependentColumn())
        columns = [table.getDependentColumn(name) for name in CENTRES]
        places = [[[column[frame][axis] for axis in range(3)] for column in columns] for frame in range(len(times))]
        joints[person] = from_export(np.array(places), "y")
    return ReadBack(times_s=times, joints=joints)


@reads("trc", "pandas")
def trc_as_pose2sim_reads_it(folder: Path, facts: dict) -> ReadBack:
    """By the rules of Pose2Sim 0.10: names from the fourth line, a table under the fifth, unnamed columns dropped."""
    import pandas

    joints, times = {}, np.zeros(0)
    for person in PERSON_IDS:
        path = folder / "trc" / f"person-{person}.trc"
        names = [name for name in path.read_text().splitlines()[3].split("\t")[2:] if name.strip()]
        table = pandas.read_csv(path, sep="\t", skiprows=4)
        times = table.iloc[:, 1].to_numpy()
        places = table.drop(columns=table.columns[:2])
        places = places.loc[:, ~places.columns.str.startswith("Unnamed")].to_numpy().reshape(len(times), -1, 3)
        joints[person] = from_export(places[:, [names.index(name) for name in CENTRES]], "y")
    return ReadBack(times_s=times, joints=joints)


@reads("c3d", "c3d", "ezc3d")
def c3d_by_c3d(folder: Path, facts: dict) -> ReadBack:
    import c3d

    joints, times = {}, np.zeros(0)
    for person in PERSON_IDS:
        with (folder / "c3d" / f"person-{person}.c3d").open("rb") as file:
            reader = c3d.Reader(file)
            frames = np.stack([points for _, points, _ in reader.read_frames()])
            labels = [label.strip() for label in reader.point_labels]
            assert reader.get("POINT:UNITS").string_value.strip() == "mm"
            times = np.arange(len(frames)) / reader.point_rate
        metres = np.where(frames[..., 3:4] < 0, np.nan, frames[..., :3] / 1000)
        joints[person] = from_export(metres[:, [labels.index(name) for name in CENTRES]], "y")
    return ReadBack(times_s=times, joints=joints)


@reads("angles")
def angles_by_their_words(folder: Path, facts: dict) -> ReadBack:
    """The times alone; what the angles mean is in ``tests/unit/test_export_angles.py``."""
    lines = (folder / "angles" / f"person-{PERSON_IDS[0]}.mot").read_text().split("\n")
    end = lines.index("endheader")
    assert "inDegrees=yes" in lines[:end]
    header = dict(line.split("=") for line in lines[1:end])
    rows = np.array([line.split("\t") for line in lines[end + 2 :] if line], float)
    assert rows.shape == (int(header["nRows"]), int(header["nColumns"]))
    table = np.genfromtxt(folder / "angles" / f"person-{PERSON_IDS[0]}.csv", delimiter=",", names=True)
    np.testing.assert_allclose(rows[:, 1], table[lines[end + 1].split("\t")[1]], atol=1e-6)
    return ReadBack(times_s=rows[:, 0])


@reads("angles", "opensim")
def angles_by_opensim(folder: Path, facts: dict) -> ReadBack:
    """The table of the .mot file, which has the numbers of the csv."""
    import opensim

    table = opensim.TimeSeriesTable(str(folder / "angles" / f"person-{PERSON_IDS[0]}.mot"))
    csv = np.genfromtxt(folder / "angles" / f"person-{PERSON_IDS[0]}.csv", delimiter=",", names=True)
    assert table.getTableMetaDataString("inDegrees") == "yes"
    for name in ("knee_angle_r", "hip_flexion_l", "pelvis_ty"):
        np.testing.assert_allclose(table.getDependentColumn(name).to_numpy(), csv[name], atol=1e-6)
    return ReadBack(times_s=np.array(table.getIndependentColumn()))
