"""A simulated TensorDock: both versions of its interface over one stock, one balance, one set of machines."""
