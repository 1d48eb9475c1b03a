"""Arithmetic over blocks of records, compiled by Numba and LLVM: what layers are computed with."""
