"""As much of Google Cloud as is used here besides its storage: machines for CloudyPad, and the Location Finder."""
