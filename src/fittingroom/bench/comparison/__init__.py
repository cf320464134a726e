"""Fit what is missing, then compare: `fittingroom compare`."""
