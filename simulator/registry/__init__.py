"""A container registry on loopback, and which images there are."""
