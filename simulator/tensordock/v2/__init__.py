"""Version 2 of the interface: Bearer token, JSON, machines called instances."""
