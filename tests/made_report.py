"""What report.json may say of a record, for tests of what reads it."""

from __future__ import annotations

from typing import Any

from unish.structs import Reconstruction


def make_report(record: Reconstruction, **changes: Any) -> dict[str, Any]:
    """A report with a number of its own at every place."""
    shots = [
        {
            "frames": 7 + shot, "field_of_view_deg": 61.37, "focal_source": "guessed", "camera_still": shot == 1,
            "camera_extent_m": 1.234, "gravity_known": True, "floor_known": True, "static_disagreement_percent": 2.345,
            "verdict": "doubtful", "reasons": ["the <b>floor</b> is uneven"], "ground": "feet", "contacts": 41 + shot,
            "size": f"all lengths may be {12 + shot} % smaller or larger <here>",
        }
        for shot in range(record.num_shots)
    ]  # fmt: skip
    people = [
        {
            "id": person_id, "frames": 5 + index, "height_m": 1.61803 + index, "certainty": 0.87654,
            "distance_m": [3.1, 3.23456, float("nan")], "first_s": -0.5, "last_s": 4.26,
            "verdict": "good", "reasons": [], "size": f"{1.62 + index:.2f} m, guessed",
        }
        for index, person_id in enumerate(record.person_ids.tolist())
    ]  # fmt: skip
    quality = {
        "valid_pixels": 0.956, "reprojection_percent": 1.2345, "body_to_points_cm": 2.345,
        "body_to_points_before_cm": float("nan"), "scale_uncertainty": 0.0456, "stitching_residual": 0.0,
        "camera_path_m": 2.5,
    }  # fmt: skip
    report = {
        "input": "clips/walk.mp4", "settings": {"fps": 6.0, "scene_fps": 6.0}, "model": "small sha256:00",
        "versions": {"unish": "9.9"}, "shots": shots, "people": people, "quality": quality, "warnings": [],
        "seconds": {"network": 12.0},
    }  # fmt: skip
    return report | changes
