"""A message that ends the process is skipped after three deaths, whatever else is in the log."""

from collections.abc import Sequence

from liqheat.domain.events import Batch
from liqheat.platform.codec_blocks import RowBlock
from processors.worker.deaths import CAREFUL_MESSAGES, CAREFUL_SPAN, DeathWatch, Mark
from processors.worker.driver import Driver
from tests.support.memory_log import MemoryLog
from tests.support.tally_engine import Tallies, TallyEngine
from tests.unit.processors.worker.test_driver import SETTINGS, trades


class Killed(BaseException):
    """In place of the end of the process."""


class MortalEngine(TallyEngine):
    """Dies of any span with the symbol `POISON`."""

    lives = 0

    def apply(self, state: Tallies, span: Sequence[RowBlock]) -> list[Batch]:
        if any(symbol == "POISON" for block in span for symbol, _ in block.markets):
            raise Killed
        return super().apply(state, span)


async def live(log: MemoryLog) -> bool:
    """Work off the log in one bundle; return whether that ended well."""
    driver: Driver[Tallies] = Driver(MortalEngine(), SETTINGS, log, 1)
    try:
        await driver.handle(log.pending())
    except Killed:
        return False
    await driver.checkpoint()
    await driver.end()
    return True


async def test_a_message_at_which_lives_end_again_and_again_is_skipped() -> None:
    log = MemoryLog()
    for symbol in ("FET", "TAO", "POISON", "FET", "WLD"):
        log.write(trades(symbol))
    # One death unawares, one among others, two alone.
    assert [await live(log) for _ in range(5)] == [False] * 4 + [True]
    (letter,) = log.letters()
    assert letter["origin_offset"] == b"2"
    assert letter["reason"] == b"Workers have died of this message again and again"
    assert log.committed(0) == 5
    assert set(log.checkpoints) == {"FET", "TAO", "WLD"}
    assert not log.pending()
    log.write(trades("TAO"))
    assert await live(log)
    assert log.committed(0) == 6


def after(mark: Mark, start: int = 0) -> DeathWatch:
    """Return the life that finds `mark`."""
    return DeathWatch(Mark.unpack(mark.packed(3)), start)


def test_a_life_after_a_bad_end_is_careful_for_a_while_and_after_a_good_one_not() -> None:
    first = DeathWatch(Mark(), 0)
    assert first.at_once(0) == 0
    second = after(first.mark, 10)
    assert [second.at_once(offset) for offset in (10, 9 + CAREFUL_MESSAGES, 10 + CAREFUL_MESSAGES)] == [32, 32, 0]
    assert after(second.end()).at_once(0) == 0


def test_where_a_life_ended_the_next_takes_messages_alone_until_one_is_known_to_be_deadly() -> None:
    second = after(DeathWatch(Mark(), 0).mark)
    third = after(second.at(64, CAREFUL_SPAN))
    assert [third.at_once(offset) for offset in (40, 64, 95, 96)] == [24, 1, 1, 32]
    fourth = after(third.at(70, 1))
    assert [fourth.at_once(offset) for offset in (0, 69, 70, 71)] == [32, 1, 1, 32]
    assert not fourth.is_deadly(70)
    fifth = after(fourth.at(70, 1))
    assert fifth.is_deadly(70)
    assert not fifth.is_deadly(69)
    # Who ends elsewhere meanwhile, or not so far, spoils nothing.
    assert after(fifth.mark).is_deadly(70)
    assert not after(fifth.at(71, 1)).is_deadly(71)


def test_an_end_between_messages_is_no_death_of_any() -> None:
    second = after(DeathWatch(Mark(), 0).mark)
    second.at(0, CAREFUL_SPAN)
    assert after(second.passed(CAREFUL_SPAN)).at_once(0) == CAREFUL_SPAN
    third = after(second.at(64, CAREFUL_SPAN))
    third.at(70, 1)
    again = after(third.passed(71))
    assert [again.at_once(offset) for offset in (64, 95, 96)] == [1, 1, CAREFUL_SPAN]
    again.at(95, 1)
    assert again.passed(96).count == 0
    deadly = after(after(again.at(70, 1)).at(70, 1))
    assert deadly.is_deadly(70)
    assert after(deadly.passed(70)).is_deadly(70)
    assert not after(deadly.passed(71)).is_deadly(70)
