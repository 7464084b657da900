"""How long things take on a simulated machine, in simulated seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Delays:
    """`packages_s` and `images_s` name what takes longer or shorter than the rest, by a part of its name."""

    first_boot_s: float = 5.0
    upgrades_s: float = 0.0  # for which a machine that updates itself holds the package manager's lock
    update_s: float = 2.0
    package_s: float = 1.5
    image_s: float = 6.0
    packages_s: Mapping[str, float] = field(default_factory=dict)
    images_s: Mapping[str, float] = field(default_factory=dict)

    def of_package(self, name: str) -> float:
        return _of(name, self.packages_s, self.package_s)

    def of_image(self, name: str) -> float:
        return _of(name, self.images_s, self.image_s)


SHORT: Final = Delays()
# Cloud-init of 75 s and 210 s in which unattended-upgrades holds the package manager (TensorDock's users). The rest is
# the recorded run of CloudyPad's documentation: driver 180 s without its restarts, Docker 37 s, modules 29 s, Wolf with
# its driver volume 85 s, an app's image 51 s.
PUBLIC: Final = Delays(
    first_boot_s=75.0,
    upgrades_s=210.0,
    update_s=5.0,
    image_s=51.0,
    packages_s={
        "nvidia-driver": 180.0,
        "docker-ce": 12.0,
        "linux-modules-extra": 29.0,
        "nvidia-container-toolkit": 20.0,
    },
    images_s={"games-on-whales/wolf": 85.0},
)
NAMED: Final[Mapping[str, Delays]] = {"short": SHORT, "public": PUBLIC}


def _of(name: str, named: Mapping[str, float], other: float) -> float:
    return next((seconds for part, seconds in named.items() if part in name), other)
