"""Files and results that appear whole or not at all, JSON without NaN, and what the process has used of the machine."""

from unish.io.atomic import written_beside
from unish.io.frame_files import FramePile, has_frame, read_frame, read_part, write_array, write_frame, write_npz
from unish.io.json_files import as_tuples, to_json_values, write_json
from unish.io.process import peak_memory_mb, release_memory
from unish.io.work_folder import WORK_FOLDER, WorkFolder, replaced_whole

__all__ = [
    "WORK_FOLDER",
    "FramePile",
    "WorkFolder",
    "as_tuples",
    "has_frame",
    "peak_memory_mb",
    "read_frame",
    "read_part",
    "release_memory",
    "replaced_whole",
    "to_json_values",
    "write_array",
    "write_frame",
    "write_json",
    "write_npz",
    "written_beside",
]
