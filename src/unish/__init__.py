"""UniSH: scene, cameras and metric human bodies from one monocular video, in one feed-forward pass."""

__version__ = "0.1.0"
