"""The command-line client's distribution.

This file is not part of it. It makes the folder importable where a package of the same name is installed, as that of
python-hcl2.
"""
