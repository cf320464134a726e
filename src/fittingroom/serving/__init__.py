"""Saved models behind HTTP: `fittingroom serve`."""
