"""What kernels compiled by Numba are made of."""
