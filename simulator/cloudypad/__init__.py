"""A stand-in for CloudyPad's command line tool, version 0.45.1: its commands, its state files, its words, its traps.

The providers `ssh` and `gcp` work on machines of the simulated world; the machines are really set up, over SSH.
"""

VERSION = "0.45.1"
