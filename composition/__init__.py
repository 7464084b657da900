"""The rooms of the composition root: with server.py and safety.py, all that ever reads the settings."""
