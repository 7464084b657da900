"""Google Cloud Storage through its JSON API: the bucket of the game library and the saves."""
