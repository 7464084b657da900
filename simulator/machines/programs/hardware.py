"""Programs that tell of the hardware and the kernel."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from simulator.machines.packages import DRIVER_VERSION
from simulator.machines.programs.call import Call, Program

GPU = "NVIDIA GeForce RTX 4090"
GPU_FACTS = {
    "name": GPU,
    "driver_version": DRIVER_VERSION,
    "memory.total": "24564 MiB",
    "memory.used": "512 MiB",
    "utilization.gpu": "3 %",
    "utilization.encoder": "0 %",
    "temperature.gpu": "41",
    "uuid": "GPU-00000000-0000-4000-8000-000000000001",
    "pci.bus_id": "00000000:01:00.0",
}
DISK_KIB = 200 * 1024 * 1024
MODULES_FILE = "/proc/modules"


async def nvidia_smi(call: Call) -> int:
    query = next((word.partition("=")[2] for word in call.arguments if word.startswith("--query-gpu=")), "")
    if call.arguments[:1] == ("-L",):
        call.say(f"GPU 0: {GPU} (UUID: {GPU_FACTS['uuid']})")
    elif query:
        unknown = [field for field in query.split(",") if field not in GPU_FACTS]
        if unknown:
            call.say(f'Field "{unknown[0]}" is not a valid field to query.')
            return 2
        call.say(", ".join(GPU_FACTS[field] for field in query.split(",")))
    else:
        call.say(
            f"| NVIDIA-SMI {DRIVER_VERSION}  Driver Version: {DRIVER_VERSION}  CUDA Version: 13.1 |\n|   0  {GPU} |"
        )
    return 0


async def df(call: Call) -> int:
    """In KiB, `-B1` in bytes; with `--output=avail` and the like those columns alone."""
    unit = 1024 if "-B1" in call.arguments or "--block-size=1" in call.arguments else 1
    used_kib = _size(call) // 1024 + 9 * 1024 * 1024
    facts = {
        "source": "/dev/vda1",
        "fstype": "ext4",
        "size": str(DISK_KIB * unit),
        "used": str(used_kib * unit),
        "avail": str((DISK_KIB - used_kib) * unit),
        "pcent": f"{100 * used_kib // DISK_KIB}%",
        "target": "/",
    }
    wanted = next((word.partition("=")[2] for word in call.arguments if word.startswith("--output=")), "")
    if wanted:
        call.say(" ".join(column.capitalize() for column in wanted.split(",")))
        call.say(" ".join(facts[column] for column in wanted.split(",")))
        return 0
    call.say("Filesystem     1K-blocks    Used Available Use% Mounted on")
    call.say(" ".join(facts[column] for column in ("source", "size", "used", "avail", "pcent", "target")))
    return 0


async def free(call: Call) -> int:
    call.say("               total        used        free      shared  buff/cache   available")
    call.say("Mem:        32768000     2048000    24000000       10240     6719760    30200000")
    return 0


async def uptime(call: Call) -> int:
    seconds = int(call.machine.clock.now() - call.machine.booted_at)
    call.say(f" up {seconds // 60} min,  0 users,  load average: 0.00, 0.00, 0.00")
    return 0


async def modprobe(call: Call) -> int:
    call.needs_root()
    files = call.machine.root_files
    present = files.read_text(MODULES_FILE).split() if files.is_file(MODULES_FILE) else []
    added = [word for word in call.arguments if not word.startswith("-") and "=" not in word and word not in present]
    files.write(MODULES_FILE, "\n".join([*present, *added]) + "\n")
    for module in added:
        if module in ("uinput", "uhid"):
            files.write(f"/dev/{module}", "")
    return 0


async def lsmod(call: Call) -> int:
    files = call.machine.root_files
    call.say("Module                  Size  Used by")
    for module in files.read_text(MODULES_FILE).split() if files.is_file(MODULES_FILE) else []:
        call.say(f"{module}  16384  0")
    return 0


def _size(call: Call) -> int:
    return shutil.disk_usage(call.machine.tree.root).used % (8 * 1024**3)


PROGRAMS: Mapping[str, Program] = {
    "nvidia-smi": nvidia_smi,
    "df": df,
    "free": free,
    "uptime": uptime,
    "modprobe": modprobe,
    "lsmod": lsmod,
}
