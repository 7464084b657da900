"""The files that CloudyPad puts on a machine."""

from __future__ import annotations

import uuid

STATE_FOLDER = "/var/lib/cloudypad/wolf"
IMAGE = "ghcr.io/games-on-whales/wolf:stable@sha256:5bf5041065dbfea67e60c3a28a42a551be970feed5d1be6d59bee2d134da1770"
READINESS_PATH = "/usr/local/bin/cloudypad-check-readiness"
READINESS = "#!/bin/sh\nset -e\nnc -z localhost 47989\n"
UDEV_PATH = "/etc/udev/rules.d/85-wolf-virtual-inputs.rules"
UDEV = 'KERNEL=="uinput", SUBSYSTEM=="misc", MODE="0660", GROUP="docker", OPTIONS+="static_node=uinput"\n'
AUTOSTOP_PATH = "/root/cloudypad-autostop/autostop.sh"
AUTOSTOP_UNIT = "cloudypad-autostop.service"
AUTOSTOP_UNIT_TEXT = f"""[Unit]
Description=Cloudy Pad Auto Stop
After=network.target

[Service]
Type=simple
ExecStart={AUTOSTOP_PATH}
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


def wolf_config(name: str) -> str:
    """Return the configuration as each set-up writes it: without paired clients."""
    return f"""hostname = "{name}"
uuid = "{uuid.uuid4()}"
config_version = 6
paired_clients = []

[[profiles]]
id = "moonlight-profile-id"
name = "Moonlight"

[[profiles.apps]]
title = "Wolf UI"
start_virtual_compositor = true

[profiles.apps.runner]
type = "docker"
name = "Wolf-UI"
image = "ghcr.io/games-on-whales/wolf-ui:main"
mounts = ["/var/run/wolf/wolf.sock:/var/run/wolf/wolf.sock"]
env = ["GOW_REQUIRED_DEVICES=/dev/input/event* /dev/dri/* /dev/nvidia*", "WOLF_SOCKET_PATH=/var/run/wolf/wolf.sock"]
devices = []
ports = []

[[profiles.apps]]
title = "Test ball"
start_virtual_compositor = false

[profiles.apps.runner]
type = "process"
un_cmd = "sh -c \\"while :; do sleep 10; done\\""

[[profiles]]
id = "user"
name = "User"

[[profiles.apps]]
title = "RetroArch"
start_virtual_compositor = true

[profiles.apps.runner]
type = "docker"
name = "WolfRetroarch"
image = "ghcr.io/games-on-whales/retroarch:edge"
mounts = []
env = ["RUN_SWAY=true", "GOW_REQUIRED_DEVICES=/dev/input/* /dev/dri/* /dev/nvidia*"]
devices = []
ports = []
"""


def compose(home: str, driver_version: str) -> str:
    volume = f"nvidia-driver-vol-{driver_version}"
    return f"""services:
  wolf:
    container_name: wolf
    image: {IMAGE}
    network_mode: host
    restart: unless-stopped
    environment:
      HOST_APPS_STATE_FOLDER: {STATE_FOLDER}
      XDG_RUNTIME_DIR: /tmp/sockets
      NVIDIA_DRIVER_VOLUME_NAME: {volume}
    volumes:
      - {STATE_FOLDER}:{STATE_FOLDER}:rw
      - {home}/wolf/config.toml:{STATE_FOLDER}/cfg/config.toml:rw
      - /tmp/sockets:/tmp/sockets:rw
      - /var/run/docker.sock:/var/run/docker.sock:rw
      - /dev/:/dev/:rw
      - /run/udev:/run/udev:rw
      - {volume}:/usr/nvidia:rw
    device_cgroup_rules:
      - "c 13:* rmw"
volumes:
  {volume}:
    external: true
"""


def autostop(timeout_s: int) -> str:
    """Return the script that switches the machine off when nothing has streamed for so long."""
    return f"""#!/bin/sh
idle=0
while sleep 30; do
  if curl -s --unix-socket /tmp/sockets/wolf.sock http://localhost/api/v1/sessions | grep -q client_id; then
    idle=0
  else
    idle=$((idle+30))
  fi
  if [ $idle -ge {timeout_s} ]; then
    shutdown -h now
  fi
done
"""
