"""Child processes that run native code on a user's model: their death is a result."""
