"""Fit missing runs, then compare: `fittingroom compare`."""
