"""Judges probabilities and uncertainties by answers that were held out."""
