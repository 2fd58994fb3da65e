"""Tables: measured beside published, every absent number with a word for why it is absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unish.cli import main
from unish.errors import InputError
from unish.lab.evaluation import Results
from unish.lab.evaluation.columns import describe_column
from unish.lab.evaluation.tables import format_tables, load_published, make_tables


def results(benchmark: str, method: str, summary: dict[str, Any], **header: Any) -> Results:
    sequences = {"a": dict(summary)}
    return Results(header={"benchmark": benchmark, "method": method} | header, sequences=sequences, summary=summary)


EMDB = results("emdb2", "small", {"wa_mpjpe_mm": 250.04, "w_mpjpe_mm": 400.0, "mpjpe_mm": None, "frames": 12})
BONN = results("bonn", "baseline:row-prior", {"depth_abs_rel": 0.25, "depth_delta": 0.5, "warnings": ["dark"]})


def test_every_method_stands_in_every_table_and_absence_has_a_reason() -> None:
    emdb, bonn = make_tables([EMDB, BONN])
    cells = {line.method: line.cells for line in emdb.lines}
    assert [column.name for column in emdb.columns[:3]] == ["wa_mpjpe_mm", "w_mpjpe_mm", "root_trajectory_percent"]
    assert cells["small"]["wa_mpjpe_mm"] == 250.04 and cells["small"]["mpjpe_mm"] == "not measured"
    assert set(cells["baseline:row-prior"].values()) == {"not run"}
    assert cells["WHAM"] == {
        "wa_mpjpe_mm": 135.6, "w_mpjpe_mm": 354.8, "root_trajectory_percent": 6.0, "mpjpe_mm": "not reported",
        "frames": "not reported",
    }  # fmt: skip
    assert {line.method for line in bonn.lines} == {"small", "baseline:row-prior", "VGGT", "π³", "UniSH"}


def test_failures_are_told() -> None:
    broken = results("synthetic", "mine", {"failed": 1})
    broken.sequences = {"a": {"error": "no"}}
    (table,) = make_tables([broken, results("synthetic", "small", {"mpjpe_mm": 1.0})])
    assert table.lines[0].cells == {"mpjpe_mm": "failed"} and "all 1 sequences failed" in table.lines[0].note
    part = results("synthetic", "mine", {"mpjpe_mm": 2.0, "failed": 1})
    part.sequences["b"] = {"error": "no"}
    text = format_tables(make_tables([part]), "markdown")
    assert "| `mine` | 2.0 |" in text and "mine: 1 of 2 sequences failed." in text


def test_markdown_keeps_the_digits_of_papers() -> None:
    text = format_tables(make_tables([EMDB, BONN]), "markdown")
    assert "| WHAM (published) | 135.6 | 354.8 | 6.0 |" in text and "| `small` | 250.0 | 400.0 |" in text
    assert "| π³ (published) | 0.049 | 0.975 |" in text and "AbsRel ↓ | δ<1.25 ↑" in text
    assert "quoted from arXiv:2609.29106, table 1, not run here" in text and "WHAM: Shin et al." in text


def test_latex_and_html_escape() -> None:
    odd = results("emdb2", "files:/a_b&c<d>", {"wa_mpjpe_mm": 1.0})
    latex = format_tables(make_tables([odd], columns=["wa_mpjpe_mm", "root_trajectory_percent"]), "latex")
    assert r"files:/a\_b\&c$<$d> & 1.0 & \textit{not measured} \\" in latex and r"RTE (\%) $\downarrow$" in latex
    assert latex.count(r"\midrule") == 2 and latex.count("\\begin{tabular}") == 1
    page = format_tables(make_tables([odd]), "html")
    assert "files:/a_b&amp;c&lt;d&gt;" in page and "<td class='absent'>not measured</td>" in page


def test_columns_parts_and_repeated_files() -> None:
    (table,) = make_tables([BONN], columns=["depth_delta"], published=False)
    assert [column.name for column in table.columns] == ["depth_delta"] and len(table.lines) == 1
    with pytest.raises(InputError, match="no file has a column nothing"):
        make_tables([BONN], columns=["nothing"])
    with pytest.raises(InputError, match="two files hold small on emdb2"):
        make_tables([EMDB, EMDB])
    short = results("emdb2", "small", {"wa_mpjpe_mm": 9.0}, settings={"max_frames": 12})
    (table,) = make_tables([EMDB, short], published=False)
    assert [line.method for line in table.lines] == ["small", "small, first 12 frames"]
    parts = make_tables([results("labelled", "small", {"rgbd/depth_abs_rel": 0.1, "masks/mask_iou": 0.9})])
    assert [table.title for table in parts] == ["labelled/rgbd", "labelled/masks"]
    assert parts[0].columns[0].label == "AbsRel"


def test_published_rows_are_complete_and_named() -> None:
    published = load_published()
    for benchmark in published["benchmarks"].values():
        assert benchmark["quoted_from"].startswith("arXiv:")
        for method, values in benchmark["rows"].items():
            assert len(values) == len(benchmark["columns"]) and "arXiv:" in published["papers"][method]


def test_directions() -> None:
    better = {
        "depth_abs_rel": "lower", "depth_delta_metric": "higher", "people_matched": "higher", "mask_iou": "higher",
        "world_size_ratio": "one", "seconds": "neither", "points_accuracy_m": "lower", "scored_share": "higher",
        "rgbd/depth_delta": "higher",
    }  # fmt: skip
    assert {name: describe_column(name).better for name in better} == better
    assert describe_column("camera_turn_error_deg").heading == "camera turn error (°) ↓"
    assert describe_column("max_speed_m_s").heading == "max speed (m/s) ↓"
    assert describe_column("foot_sliding_cm_s").heading == "foot sliding (cm/s) ↓"
    assert describe_column("floor_over_foot_ratio_below_4_m").heading == "floor ÷ foot depth, < 4 m → 1"
    assert describe_column("jitter_10m_s3").label == "jitter (10 m/s³)"
    assert describe_column("camera_ate_m").write(4.8e-17) == "0" and describe_column("people").write(3) == "3"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "scores.json", tmp_path / "new" / "table.tex"
    path.write_text(
        json.dumps({"format": "unish-evaluation/1", "benchmark": "x", "method": "m", "summary": {"a": 1.5}})
    )
    assert main(["evaluate", "table", str(path)]) == 0
    assert "| `m` | 1.5 |" in capsys.readouterr().out
    assert main(["evaluate", "table", str(path), "--to", "latex", "--out", str(out)]) == 0
    assert out.read_text().startswith("% benchmark: x")
    assert main(["evaluate", "table", str(tmp_path / "none.json")]) == 2
    assert main(["evaluate", "table", str(path), "--to", "word"]) == 2
    assert main(["evaluate", "--benchmark", "synthetic"]) == 2
    assert "required: --data, --method, --out" in capsys.readouterr().err
