"""Things in rooms and outside, composed from parts. Each stands on y = 0, centred, its front towards +z."""
