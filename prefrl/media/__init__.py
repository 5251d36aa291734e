"""Plots and clips."""
