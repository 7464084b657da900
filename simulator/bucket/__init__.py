"""Google Cloud Storage on loopback: its JSON interface over a folder of plain files."""
