"""Which instructions the processor has, as LLVM tells: it compiles the kernels that use them."""

from __future__ import annotations

from functools import cache

from llvmlite import binding


def multiplies_bfloat16() -> bool:
    """Whether it has instructions for products of bfloat16, of matrices or of pairs."""
    return multiplies_matrices_of_bfloat16() or multiplies_pairs()


def multiplies_matrices_of_bfloat16() -> bool:
    """Whether it has instructions for matrix products of bfloat16 (AMX)."""
    return _has("amx-bf16")


def multiplies_matrices_of_bytes() -> bool:
    """Whether it has instructions for matrix products of bytes (AMX)."""
    return _has("amx-int8")


def multiplies_pairs() -> bool:
    """Whether it has instructions for products of pairs of bfloat16 (AVX-512 BF16)."""
    return has_wide_vectors() and _has("avx512bf16")


def multiplies_bytes() -> bool:
    """Whether it has instructions for products of four bytes (AVX-512 VNNI)."""
    return has_wide_vectors() and _has("avx512vnni")


def has_wide_vectors() -> bool:
    """Whether it has vectors of 16 float32 and 32 registers for them (AVX-512)."""
    return _has("avx512f", "avx512bw", "avx512dq", "avx512vl")


def _has(*names: str) -> bool:
    features = _features()
    return all(features.get(name, False) for name in names)


@cache
def _features() -> dict[str, bool]:
    return dict(binding.get_host_cpu_features())
