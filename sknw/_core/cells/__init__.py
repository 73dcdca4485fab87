"""Gaussian sums by moments of cells: the fast Gauss transform and Chebyshev nodes."""
