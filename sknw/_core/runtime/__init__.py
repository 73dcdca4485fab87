"""Compilation, its disk cache, threads, BLAS, and properties of the processor."""
