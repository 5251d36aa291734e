"""Benchmarks: reward models on recorded answers."""
