"""Emulator images and their digests, for operators."""

from __future__ import annotations

from datetime import datetime

import strawberry

import models.emulator_images
from resolvers import emulator_images
from schema.arguments import Input
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info


@strawberry.type(description="A container image of the catalog, and the digest that its tag stood for last.")
class EmulatorImage:
    image: str = strawberry.field(description="The image's name with its tag, as consoles are configured with it.")
    digest: str | None = strawberry.field(
        description="The digest that launches use. Null if no registry has named it yet: launches use the tag."
    )
    resolved_at: datetime | None = strawberry.field(description="When the tag was first found to stand for the digest.")
    checked_at: datetime | None = strawberry.field(description="When the registry was last asked.")
    problem: str | None = strawberry.field(description="Why the registry gave no digest then. Null if it did.")

    @classmethod
    def of(cls, image: models.emulator_images.EmulatorImage) -> EmulatorImage:
        return cls(
            image=image.id,
            digest=image.digest,
            resolved_at=image.resolved_at,
            checked_at=image.checked_at,
            problem=image.problem,
        )


@strawberry.input(description="Which emulator images to refresh.")
class RefreshEmulatorImagesInput:
    image: str | None = strawberry.field(
        default=None, description="One image by its name with its tag. Null: the images of all consoles."
    )


@strawberry.type(description="The result of refreshing the emulator images.")
class EmulatorImagesPayload:
    images: list[EmulatorImage] | None = strawberry.field(
        default=None, description="The images after the refresh. Null if it was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class EmulatorImageQuery:
    @strawberry.field(
        description="List the container images of all consoles with the digests that launches use. Images that are "
        "configured by digest are left out. Operators only."
    )
    async def emulator_images(self, info: Info) -> list[EmulatorImage]:
        return [EmulatorImage.of(image) for image in await emulator_images.emulator_images(info.context)]


@strawberry.type
class EmulatorImageMutation:
    @strawberry.mutation(
        description="Ask the registries which images the tags of all consoles stand for now. Launches use the new "
        "digests from then on. Operators only.",
        extensions=[ErrorsAsData(EmulatorImagesPayload)],
    )
    async def refresh_emulator_images(
        self, info: Info, input: Input[RefreshEmulatorImagesInput]
    ) -> EmulatorImagesPayload:
        refreshed = await emulator_images.refresh_emulator_images(info.context, input.image)
        return EmulatorImagesPayload(images=[EmulatorImage.of(image) for image in refreshed])
