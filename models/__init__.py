"""Documents, their indexes and guarded writes. The only home of ODMantic and pymongo."""
