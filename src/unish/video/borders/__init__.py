"""What of a frame is no picture: bars, black borders, overlays, and frames that are blank."""
