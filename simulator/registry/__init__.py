"""A container registry on loopback, and its images."""
