"""Descents along the gradient within a family of bandwidths."""
