"""Saved classifiers behind HTTP: the Open Inference Protocol, photos, and a page."""
