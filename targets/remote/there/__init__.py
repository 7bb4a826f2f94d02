"""What is sent to another place as text, and runs there on Python 3.9 and later: see ``runner``."""
