"""Kernel sums over sliding windows of sorted rows, in one feature."""
