"""A sandbox for every test."""

from .sandbox import sandbox as sandbox
