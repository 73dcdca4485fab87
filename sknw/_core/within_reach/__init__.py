"""Sums over the pairs within the cutoff of each query, found by sorting or by bounding boxes."""
