"""Bundles: saved classifiers that hold data, never code."""
