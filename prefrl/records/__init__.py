"""Files, checkpoints, metrics and progress of runs."""
