"""Kernel sums over every pair of a query and a training row."""
