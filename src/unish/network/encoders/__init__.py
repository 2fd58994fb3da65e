"""Image encoders: what turns a picture into tokens."""
