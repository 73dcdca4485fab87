"""Sums over every pair of a query and a training row: any kernel, any number of features."""
