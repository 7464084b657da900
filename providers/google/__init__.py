"""What is known of Google Cloud itself: regions, machine types, prices, and its Location Finder."""
