"""An executable `cloudypad` for its ssh provider: sets a real machine up through OpenSSH and prints as Ansible does.

Run by the service as `cloudypad create ssh …`; knows `create`, `get`, `list` and `destroy`, with the JSON that
CloudyPad prints. What it installs is the stand-in for Wolf, in a container named `wolf`.
"""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

INSTANCES = Path(os.environ["CLOUDYPAD_HOME"]) / "instances"
WOLF = Path(__file__).with_name("wolf_stand_in.py")
CONFIG = 'hostname = "machine"\nconfig_version = 6\npaired_clients = []\n'
SET_UP = """
set -eu
sudo mkdir -p /var/lib/cloudypad/wolf/cfg /tmp/sockets /opt/stand-in
mkdir -p wolf
[ -f wolf/config.toml ] || cat > wolf/config.toml <<'END'
{config}END
sudo install -m 0755 /dev/stdin /opt/stand-in/wolf.py < .wolf-stand-in
tar --create --files-from=/dev/null | sudo docker import - stand-in >/dev/null
for image in retroarch pegasus; do sudo docker tag stand-in "ghcr.io/games-on-whales/$image:edge"; done
sudo docker rm --force wolf >/dev/null 2>&1 || true
sudo docker run --detach --name wolf --restart unless-stopped --network host \
  --volume /usr:/usr:ro --volume /bin:/bin:ro --volume /lib:/lib:ro --volume /lib64:/lib64:ro \
  --volume /etc/ssl:/etc/ssl:ro --volume /opt/stand-in:/opt/stand-in:ro --volume /tmp/sockets:/tmp/sockets \
  --volume /var/run/docker.sock:/var/run/docker.sock --volume /var/lib/cloudypad/wolf:/var/lib/cloudypad/wolf \
  --volume "$HOME/wolf/config.toml:/etc/wolf/config.toml" stand-in \
  /usr/bin/python3 /opt/stand-in/wolf.py {host} /var/lib/cloudypad/wolf /tmp/sockets/wolf.sock /etc/wolf/config.toml
printf '#!/bin/sh\\nexec curl -sS -o /dev/null --max-time 5 http://{host}:47989/serverinfo\\n' |
  sudo install -m 0755 /dev/stdin /usr/local/bin/cloudypad-check-readiness
for _ in 1 2 3 4 5 6 7 8 9 10; do cloudypad-check-readiness && exit 0; sleep 1; done
exit 1
"""


def main() -> int:
    command, *rest = sys.argv[1:]
    if command == "--version":
        say("0.45.2")
        return 0
    if command == "list":
        say(json.dumps(sorted(file.parent.name for file in INSTANCES.glob("*/state.yml"))))
        return 0
    if command == "create":
        return create(rest)
    name = rest[0]
    file = INSTANCES / name / "state.yml"
    if not file.exists():
        sys.stderr.write(f"Error: instance {name} does not exist\n")
        return 1
    if command == "get":
        say(file.read_text())
    elif command == "destroy":
        shutil.rmtree(file.parent)
    return 0


def create(rest: list[str]) -> int:
    options = dict(itertools.pairwise(rest))
    name, host = options["--name"], options["--hostname"]
    ssh = (
        "ssh",
        "-i",
        options["--ssh-private-key"],
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        f"{options['--ssh-user']}@{host}",
    )
    for task in ("docker : Install Docker", "wolf : Create Wolf's folders", "wolf : Start Wolf"):
        say(f"\nTASK [{task}] " + "*" * 20)
    steps = (
        ("cat > .wolf-stand-in", WOLF.read_bytes()),
        (f"sh -c {shlex.quote(SET_UP.format(host=host, config=CONFIG))}", b""),
    )
    for script, given in steps:
        done = subprocess.run([*ssh, script], input=given, capture_output=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stderr.decode(errors="replace"))
            return 2
    status = {"serverStatus": "running", "provisioned": True, "configured": True, "ready": True}
    provision = {"provider": "ssh", "input": {}, "output": {"host": host}}
    file = INSTANCES / name / "state.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    # YAML reads JSON.
    file.write_text(json.dumps({"version": "1", "name": name, "provision": provision, "status": status}))
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
