"""Time limits of a launch's steps, with all retries, on real clouds, and the texts with which they begin."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from models.launches import LaunchStepName
from providers.base import ProviderName

STEP_TIME: Final = {
    LaunchStepName.CHOOSE_PLACEMENT: timedelta(minutes=2),
    LaunchStepName.CREATE_VM: timedelta(minutes=10),
    LaunchStepName.BOOT: timedelta(minutes=15),
    LaunchStepName.CONNECT: timedelta(minutes=5),
    LaunchStepName.INSTALL_STREAMING: timedelta(minutes=60),
    LaunchStepName.MOUNT_LIBRARY: timedelta(minutes=10),
    LaunchStepName.RESTORE_SAVES: timedelta(minutes=10),
    LaunchStepName.CONFIGURE_GAME: timedelta(minutes=30),  # includes pulling the emulator's image
    LaunchStepName.VERIFY_STREAM: timedelta(minutes=5),
}
# At Google Cloud, CloudyPad also sets the machine up within this step.
CREATE_TIME: Final = {ProviderName.CLOUDYPAD: timedelta(minutes=60)}
BEGINNINGS: Final = {
    LaunchStepName.CHOOSE_PLACEMENT: "Looking for the best machine near you",
    LaunchStepName.CREATE_VM: "Renting the machine",
    LaunchStepName.BOOT: "The machine is starting",
    LaunchStepName.CONNECT: "Connecting to the machine",
    LaunchStepName.INSTALL_STREAMING: "Installing the streaming server",
    LaunchStepName.MOUNT_LIBRARY: "Mounting the game library",
    LaunchStepName.RESTORE_SAVES: "Restoring your saves",
    LaunchStepName.CONFIGURE_GAME: "Setting up the game",
    LaunchStepName.VERIFY_STREAM: "Checking the stream",
}
