"""The composition root: with server.py and safety.py, the only code that reads the settings."""
