"""Runs the cells of a benchmark: on this machine, or on a Ray cluster."""
