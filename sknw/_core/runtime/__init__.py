"""Compilation, its cache on disk, threads, and what is known of the processor."""
