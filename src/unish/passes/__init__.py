"""The three passes from a video to a result: observe frames and windows, settle what they say together, write it.

Nothing but small arrays is in memory for all frames at once; what has a value for every pixel lies in the run's folder.
"""

from unish.passes.applied_edits import apply_edits
from unish.passes.concluded import conclude
from unish.passes.films import Films
from unish.passes.known_camera import know_poses
from unish.passes.models import Models, Network, PeopleFinder
from unish.passes.observations import Observations, observe
from unish.passes.outputs import FILE, MAX_FRAMES_IN_FILE, PREVIEW, draw_preview, keep_dense, write_files
from unish.passes.run_folder import RunFolder, describe_run, identify_task
from unish.passes.settled import Settled, settle
from unish.passes.stored_observations import FOLDER as OBSERVATIONS
from unish.passes.stored_observations import StoredRun, can_be_edited, open_observations, save_observations

__all__ = [
    "FILE",
    "MAX_FRAMES_IN_FILE",
    "OBSERVATIONS",
    "PREVIEW",
    "Films",
    "Models",
    "Network",
    "Observations",
    "PeopleFinder",
    "RunFolder",
    "Settled",
    "StoredRun",
    "apply_edits",
    "can_be_edited",
    "conclude",
    "describe_run",
    "draw_preview",
    "identify_task",
    "keep_dense",
    "know_poses",
    "observe",
    "open_observations",
    "save_observations",
    "settle",
    "write_files",
]
