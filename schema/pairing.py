"""Pairing windows with their PIN and QR code."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Annotated

import segno
import strawberry

import models.pairings
import models.vms
from resolvers import pairing
from schema.arguments import Input
from schema.enums import PairingStatus
from schema.ids import key_of
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info

_HTTP = 47989


@strawberry.type(description="Two minutes in which a device can be paired with a VM by a PIN of the service.")
class Pairing:
    status: PairingStatus = strawberry.field(description="How far the pairing is.")
    pin: str | None = strawberry.field(description="The PIN for the device. Null once the window is closed.")
    qr_text: str | None = strawberry.field(
        description="A link with address, port and PIN, `moonlight://pair?host=…&port=…&pin=…`, for clients that open "
        "such links. Null once the window is closed."
    )
    qr_svg: str | None = strawberry.field(
        description="The link as a QR code, an SVG image. Null once the window is closed."
    )
    started_at: datetime = strawberry.field(description="When the window was opened.")
    expires_at: datetime = strawberry.field(description="When the window closes unless a device has paired.")

    @classmethod
    def of(cls, vm: models.vms.Vm, window: models.pairings.PairingWindow) -> Pairing:
        status = window.status_at(datetime.now(UTC))
        pin = window.pin if status in models.pairings.OPEN else None
        link = None if pin is None else f"moonlight://pair?host={vm.ip_address}&port={vm.port(_HTTP)}&pin={pin}"
        return cls(
            status=status,
            pin=pin,
            qr_text=link,
            qr_svg=None if link is None else _qr_code(link),
            started_at=window.started_at,
            expires_at=window.expires_at,
        )


def _qr_code(text: str) -> str:
    # With its namespace, so that the text is also an image by itself and not only a part of an HTML page.
    image = BytesIO()
    segno.make(text, error="m", micro=False).save(image, kind="svg", xmldecl=False, nl=False, scale=4)
    return image.getvalue().decode()


@strawberry.input(description="The VM to pair a device with.")
class StartPairingInput:
    vm_id: strawberry.ID = strawberry.field(description="The global id of the VM.")


@strawberry.type(description="The result of opening a pairing window.")
class PairingPayload:
    pairing: Pairing | None = strawberry.field(default=None, description="The window. Null if it was refused.")
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class PairingQuery:
    @strawberry.field(
        description="Follow the newest pairing window of a VM. Null if there was none, or the VM belongs to another "
        "user."
    )
    async def pairing(
        self, info: Info, vm_id: Annotated[strawberry.ID, strawberry.argument(description="The global id of the VM.")]
    ) -> Pairing | None:
        found = await pairing.pairing(info.context, key_of("VM", vm_id))
        return None if found is None else Pairing.of(*found)


@strawberry.type
class PairingMutation:
    @strawberry.mutation(
        description="Make a PIN and hand it to the first device that asks to be paired within two minutes. Answers at "
        "once; `pairing` follows it. A device with another PIN is refused and does not close the window. A new "
        "window replaces an earlier one.",
        extensions=[ErrorsAsData(PairingPayload)],
    )
    async def start_pairing(self, info: Info, input: Input[StartPairingInput]) -> PairingPayload:
        opened = await pairing.start_pairing(info.context, key_of("VM", input.vm_id))
        return PairingPayload(pairing=Pairing.of(*opened))
