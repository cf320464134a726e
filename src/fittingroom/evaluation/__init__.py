"""Evaluation of predictions: arrays in, plain frozen results out. Needs only NumPy and SciPy."""
