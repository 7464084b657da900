"""The hardware that the simulated TensorDock rents out: which hostnodes there are, and what of them is free."""
