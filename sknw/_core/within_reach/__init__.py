"""Kernel sums over the pairs of a query and a training row within the cutoff."""
