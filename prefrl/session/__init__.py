"""One round of asking: a pool is drawn, queries are chosen, put to a teacher, and answered."""
