"""Version 0 of the interface: a key pair in form fields, machines called virtual machines."""
