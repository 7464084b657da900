"""Facts about Google Cloud: regions, machine types, prices, and its Location Finder."""
