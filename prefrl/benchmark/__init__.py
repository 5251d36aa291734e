"""Benchmarks of query strategies: a grid of cells, the work of a cell, and the report."""
