"""How weights and repositories are called on the Hugging Face hub; nothing of its client, which takes time to load."""

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

HUB_NAME = r"([\w.-]+/[\w.-]+?)(?:@(.+))?"
"""``OWNER/NAME`` or ``OWNER/NAME@REVISION``."""

PUBLISHED_REPOSITORY, PUBLISHED_FILE = "Murphyyyy/UniSH", "checkpoints/unish_release.safetensors"
