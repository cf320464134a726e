"""Figures, tables and pages from results; only presentation, nothing new is computed."""
