"""Building blocks for kernels compiled by Numba."""
