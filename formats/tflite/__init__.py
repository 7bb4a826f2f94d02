"""TFLite flatbuffers: what is in them, and edits of them."""
