"""Google Cloud Storage to practise with: its JSON interface over a folder that one can look into."""
