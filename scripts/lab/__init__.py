"""Studies and speed measurements, run by the scripts beside this folder; not in the wheel."""
