"""The same network by Numba and LLVM, for scoring."""
