"""Files and results that appear whole or not at all, JSON without NaN, and what the process has used of the machine."""

from unish.io.atomic import written_beside
from unish.io.json_files import to_json_values, write_json
from unish.io.process import peak_memory_mb
from unish.io.work_folder import WORK_FOLDER, replaced_whole

__all__ = ["WORK_FOLDER", "peak_memory_mb", "replaced_whole", "to_json_values", "write_json", "written_beside"]
