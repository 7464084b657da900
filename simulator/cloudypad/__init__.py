"""An imitation of CloudyPad's command line tool, version 0.45.2: commands, state files, output and known faults.

The providers `ssh` and `gcp` work on machines of the simulated world, which the simulator sets up for the playbook.
"""

VERSION = "0.45.2"
