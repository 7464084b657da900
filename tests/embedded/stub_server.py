"""A child for tests, run as a script: accepts connections on its port, and does what its other words say.

usage: stub_server.py PORT [stubborn | dies | says WORDS]
"""

import signal
import socket
import sys

port, *manner = sys.argv[1:]
if manner == ["dies"]:
    sys.exit("no space left in the universe")
if manner == ["stubborn"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", int(port))) as listener:
    if manner[:1] == ["says"]:
        sys.stdout.write(manner[1] + "\n")
        sys.stdout.flush()
    while True:
        listener.accept()[0].close()
