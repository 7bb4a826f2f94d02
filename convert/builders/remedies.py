"""What to do about a node that can't be lowered, where it is the same for many."""

FIXED_SIZE = "give the dynamic dimension a fixed size with --input"
"""Where an extent must be known."""

BROKEN = "the graph contradicts itself: export the model again, with another --exporter or --opset"
"""Where no runtime could run the node."""
