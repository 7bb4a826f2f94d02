"""Scripts that run in the Python of a kit: the standard library, and what the kit has."""
