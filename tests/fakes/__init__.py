"""Stand-ins that keep our own promises, for tests that need an outside world which can be told to fail."""
