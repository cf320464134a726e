"""Bench: many runs, side by side."""
