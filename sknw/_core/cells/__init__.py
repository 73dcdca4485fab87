"""Gaussian sums in one to three features, from moments of the rows of each cell of a grid."""
