"""What PyTorch says of the processor, by names that another version of it may not have.

Without one, the processor counts as one that lacks the instructions: all is slower, nothing fails.
"""

from __future__ import annotations

import torch


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for matrix products of bfloat16 (AMX)."""
    of_processor = getattr(torch.cpu, "get_capabilities", None)
    if of_processor is not None:
        return bool(of_processor().get("amx_bf16", False))
    # PyTorch 2.9 says only whether there are tiles, as all processors with AMX have.
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return has_tiles is not None and bool(has_tiles())


def multiplies_pairs() -> bool:
    """Whether it has instructions for products of pairs of bfloat16 (AVX-512 BF16)."""
    of_processor = getattr(torch.cpu, "get_capabilities", None)
    return of_processor is not None and bool(of_processor().get("avx512_bf16", False))


def multiplies_bytes() -> bool:
    """Whether it has instructions for products of bytes (VNNI), and PyTorch a function for them."""
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return supported is not None and hasattr(torch, "_int_mm") and bool(supported())


def has_wide_vectors() -> bool:
    """Whether it has vectors of 16 float32 and 32 registers for them (AVX-512)."""
    of_backend = getattr(torch.backends.cpu, "get_cpu_capability", None)
    return of_backend is not None and "AVX512" in of_backend()
