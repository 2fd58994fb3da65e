"""Matches between the frames of a clip: key points, what resembles what, and where exactly."""
