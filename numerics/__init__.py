"""Arrays held against arrays, and how sure a number is."""
