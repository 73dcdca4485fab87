"""Displays and reports of fitted models."""
