"""Files that appear whole or not at all, JSON that knows no NaN, and what the process has used of the machine."""

from unish.io.atomic import written_beside
from unish.io.json_files import to_json_values, write_json
from unish.io.process import peak_memory_mb

__all__ = ["peak_memory_mb", "to_json_values", "write_json", "written_beside"]
