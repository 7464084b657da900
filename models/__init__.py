"""Documents, their indexes and their guarded writes. The only home of ODMantic and pymongo."""
