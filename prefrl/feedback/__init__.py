"""Teachers, and what they answered."""
