"""Samples of a model's inputs, from whatever holds them: read as they are asked for, checked, and surveyed."""
