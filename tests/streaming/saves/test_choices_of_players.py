"""What a machine does with a slot in which its player has chosen, and what it writes beside its saves."""

from __future__ import annotations

from streaming.saves.parts import MachineLabel, settled_name
from streaming.saves.transfer import UploadOutcome
from tests.streaming.saves.test_transfer import CURRENT, PREFIX, SAVE, SLOT, World, file, play, stored, world

__all__ = ["world"]

REMOVED = f"{PREFIX}/removed.json"


async def test_a_save_says_which_machine_it_comes_from_and_how_many_files_it_holds(world: World) -> None:
    dallas = world.saves.for_machine(MachineLabel("200000000000000001", "Málaga, Spain (TensorDock)"))

    async with world.shell() as shell:
        await dallas.restore(shell, SLOT)
        play(world.machine, b"level 7")
        play(world.machine, b"card", ".local/share/dolphin-emu/GC/0.gci")
        await dallas.upload(shell, SLOT)

    versions = [name for name in world.server.objects if name.startswith(f"{PREFIX}/versions/")]
    for name in (CURRENT, *versions):
        words = world.server.metadata[name]
        assert (words["vm-id"], words["device"]) == ("200000000000000001", "Málaga, Spain (TensorDock)")
        assert words["files"] == "2"
        assert {"writer", "saved-at"} < words.keys()
    assert len(versions) == 1


async def test_a_conflict_that_was_settled_is_not_brought_up_again(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 1"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 2")
        world.server.put(CURRENT, stored(b"level 9"))
        first = await world.saves.upload(shell, SLOT)
        assert first.stored_as is not None
        settled = f"{PREFIX}/versions/{settled_name(first.stored_as.rpartition('/')[2])}"
        world.server.objects[settled] = world.server.objects.pop(first.stored_as)
        again = await world.saves.upload(shell, SLOT)
        play(world.machine, b"level 3")
        newer = await world.saves.upload(shell, SLOT)

    assert (again.outcome, again.stored_as) == (UploadOutcome.CONFLICT, settled)
    assert newer.stored_as is not None
    assert "/versions/conflict-" in newer.stored_as


async def test_a_machine_whose_copy_was_chosen_goes_on_and_the_other_one_conflicts(world: World) -> None:
    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        await world.saves.restore(other, SLOT)
        play(world.machine, b"level 1")
        await world.saves.upload(shell, SLOT)
        play(world.other, b"level 2")
        conflict = await world.saves.upload(other, SLOT)
        assert conflict.stored_as is not None
        world.server.put(CURRENT, world.server.objects[conflict.stored_as][1])
        play(world.other, b"level 3")
        chosen = await world.saves.upload(other, SLOT)
        play(world.machine, b"level 4")
        refused = await world.saves.upload(shell, SLOT)

    assert (conflict.outcome, chosen.outcome) == (UploadOutcome.CONFLICT, UploadOutcome.UPLOADED)
    assert refused.outcome == UploadOutcome.CONFLICT
    assert world.slot_holds() == {SAVE: b"level 3"}


async def test_a_version_that_was_restored_replaces_the_files_of_the_machine_that_wrote_it(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 1")
        first = await world.saves.upload(shell, SLOT)
        assert first.stored_as is not None
        old = world.server.objects[first.stored_as][1]
        play(world.machine, b"level 2")
        await world.saves.upload(shell, SLOT)
        world.server.put(CURRENT, old)
        world.server.metadata[CURRENT] = {"writer": "restored-1"}
        await world.saves.restore(shell, SLOT)

    assert file(world.machine).read_bytes() == b"level 1"


async def test_a_slot_that_was_deleted_is_a_fresh_start_on_a_machine_that_has_its_files(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        await world.saves.upload(shell, SLOT)
        world.server.objects.clear()
        world.server.put(REMOVED, b"{}")
        count = await world.saves.restore(shell, SLOT)

    assert count == 0
    assert not file(world.machine).exists()


async def test_a_slot_that_is_only_missing_is_kept_on_the_machine_that_has_its_files(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        await world.saves.upload(shell, SLOT)
        world.server.objects.clear()
        count = await world.saves.restore(shell, SLOT)

    assert count == 1
    assert file(world.machine).read_bytes() == b"level 7"


async def test_progress_made_after_a_slot_was_deleted_is_kept_beside_the_fresh_start(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        await world.saves.upload(shell, SLOT)
        world.server.objects.clear()
        world.server.put(REMOVED, b"{}")
        play(world.machine, b"level 8")
        count = await world.saves.restore(shell, SLOT)

    assert count == 0
    assert world.versions() == [{SAVE: b"level 8"}]
