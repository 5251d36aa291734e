"""The benchmark of query strategies: what a cell does."""
