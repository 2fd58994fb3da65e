"""Losses, one file per kind of evidence. Every loss is zero where the prediction equals the truth."""
