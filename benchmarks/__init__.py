"""Measurements: each prints its figure and whether it meets its target."""
