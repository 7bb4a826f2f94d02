"""Model files as such: read, described, edited and written, whatever they are wanted for."""
