"""The hardware that the simulated TensorDock rents out: hostnodes, and what is free on them."""
