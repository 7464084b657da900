"""A TensorDock to practise with: both generations of its interface over one stock, one balance, one set of machines."""
