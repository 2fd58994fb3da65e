"""The runner: the same numbers however many processes, subsets, resumption, and failures that stay where they are."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

import unish
from unish.cli import main
from unish.errors import InputError
from unish.lab.evaluation import Answer, Request, Results, evaluate, provenance
from unish.lab.evaluation.methods import BaselinePredictor
from unish.lab.evaluation.variety import sources
from walking_record import make_walk


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walks")
    for index in range(3):
        make_walk(seed=index, num_frames=4).save(folder / f"clip-{index:06d}.npz")
    return folder


def scores_of(results: Results) -> dict:
    """Everything but the time it took."""
    return {
        name: {key: value for key, value in row.items() if key != "seconds"} for name, row in results.sequences.items()
    }


@pytest.mark.long
def test_workers_give_the_numbers_of_one(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(unish.__file__).parents[1]))
    options = {"data": data, "method": "baseline:floor-plane", "quiet": True}
    one = evaluate("synthetic", out=tmp_path / "one.json", **options)
    two = evaluate("synthetic", out=tmp_path / "two.json", workers=2, **options)
    assert json.dumps(scores_of(one)) == json.dumps(scores_of(two))
    assert two.header["machine"]["workers"] == 2 and list(two.sequences) == list(one.sequences)


def test_a_method_that_cannot_travel_needs_one_worker(data: Path, tmp_path: Path) -> None:
    class Local(BaselinePredictor):
        pass

    with pytest.raises(InputError, match="one worker"):
        evaluate("synthetic", data=data, method=Local("row-prior"), out=tmp_path / "out.json", workers=2)


def test_result_file_says_where_numbers_come_from(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    evaluate("synthetic", data=data, method="baseline:row-prior", out=out, max_frames=2, only=["clip-000001"])
    written = json.loads(out.read_text())
    assert written["settings"] == {"max_frames": 2, "body": "free"} and written["fingerprint"] == "baseline:row-prior"
    assert written["versions"].keys() == {"unish", "code", "torch", "numpy", "python"}
    assert written["machine"]["threads"] == torch.get_num_threads() and written["machine"]["cpu"]
    assert written["sequences"]["clip-000001"]["seconds"] > 0 and len(written["sequences"]) == 1


def test_only_adds_to_what_is_there_and_names_what_is_not(data: Path, tmp_path: Path) -> None:
    options = {"data": data, "method": "baseline:constant-depth", "out": tmp_path / "scores.json", "quiet": True}
    evaluate("synthetic", only=["clip-000002"], **options)
    both = evaluate("synthetic", only=["clip-000000"], **options)
    assert list(both.sequences) == ["clip-000000", "clip-000002"]
    with pytest.raises(InputError, match=r"no sequence 'clip-7'.*clip-00000"):
        evaluate("synthetic", only=["clip-7"], **options)


@pytest.mark.long
def test_other_settings_start_anew(data: Path, tmp_path: Path) -> None:
    options = {"data": data, "method": "baseline:constant-depth", "out": tmp_path / "scores.json", "quiet": True}
    evaluate("synthetic", only=["clip-000002"], **options)
    assert list(evaluate("synthetic", only=["clip-000000"], max_frames=3, **options).sequences) == ["clip-000000"]


class Unsteady:
    """Fails in a way that nobody foresaw, then stops the run."""

    fingerprint = "unsteady"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def predict(self, request: Request) -> Answer:
        self.asked.append(request.name)
        if request.name == "clip-000000":
            raise ZeroDivisionError("a bug")
        if request.name == "clip-000002" and len(self.asked) == 3:
            raise KeyboardInterrupt
        return BaselinePredictor("row-prior").predict(request)


@pytest.mark.long
def test_failures_and_interruptions_cost_one_sequence(data: Path, tmp_path: Path) -> None:
    method, out = Unsteady(), tmp_path / "scores.json"
    with pytest.raises(KeyboardInterrupt):
        evaluate("synthetic", data=data, method=method, out=out)
    kept = Results.load(out)
    assert kept.sequences["clip-000000"]["error"].startswith("ZeroDivisionError at test_evaluation_runner.py:")
    assert "mpjpe_mm" in kept.sequences["clip-000001"] and len(kept.sequences) == 2
    done = evaluate("synthetic", data=data, method=method, out=out, quiet=True)
    assert method.asked[3:] == ["clip-000000", "clip-000002"] and done.summary["failed"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.frames", "scores.json"]
    assert {path.stem for path in (tmp_path / "scores.frames").iterdir()} == {"clip-000001", "clip-000002"}


def test_commit_is_that_of_this_checkout_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ask(*arguments: str) -> str:
        return "M file" if arguments[0] == "status" else f"{provenance.PACKAGE.parents[1]}\nabc"

    monkeypatch.setattr(provenance, "_ask_git", ask)
    assert provenance.find_commit() == "abc+changes"
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "site-packages" / "unish")
    assert provenance.find_commit() is None

    def fail(*arguments: str) -> str:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(provenance, "_ask_git", fail)
    assert provenance.find_commit() is None


def test_everything_that_decides_scores_or_clips_is_there() -> None:
    """A folder that was renamed would drop out of the hash without a word."""
    parts = {*provenance._DECIDES_SCORES, *provenance._SHOWS_SCORES, *sources._DECIDES_CLIPS}
    assert {part for part in parts if not (provenance.PACKAGE / part).exists()} == set()


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no such file"), ("{", "JSON"), ("{}", "format"), ("[]", "format")]
)
def test_files_that_are_no_results_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        Results.load(path)


def test_a_run_without_any_result_ends_with_the_reason(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "files").mkdir()
    method, out = f"files:{tmp_path / 'files'}", tmp_path / "new" / "scores.json"
    assert (
        main(["evaluate", "--benchmark", "synthetic", "--data", str(data), "--method", method, "--out", str(out)]) == 2
    )
    said = capsys.readouterr().err
    assert "no sequence gave a result" in said and "clip-000000.npz" in said and said.count("\n") == 1
    assert Results.load(out).summary["failed"] == 3
