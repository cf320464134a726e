"""Runs: one classifier fitted once, and what it left on disk."""
