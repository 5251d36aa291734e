"""What is written down: files, checkpoints, metrics, progress."""
