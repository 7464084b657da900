"""The parts of Google Cloud that are used here besides its storage: machines, prices, the Location Finder."""
