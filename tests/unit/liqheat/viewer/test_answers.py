"""Answers of the page: worked out once for all who ask, dropped when nobody waits, kept within bounds."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from liqheat.platform.clock import ManualClock
from liqheat.viewer.answers import Answers, Busy, Limits
from liqheat.viewer.queries import Client


class Held:
    """A client whose queries wait until they are let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.queries = 0

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        self.queries += 1
        self.begun.release()
        assert self.go.wait(10)
        return query

    def query_np(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        return self.query(query)

    def raw_query(self, query: str, parameters: dict[str, Any] | None = None, *, fmt: str | None = None) -> Any:
        return self.query(query)


@pytest.fixture
def held() -> Iterator[Held]:
    client = Held()
    yield client
    client.go.set()


def answers_of(client: Held, clock: ManualClock | None = None, **limits: int) -> Answers:
    return Answers(lambda: client, clock or ManualClock(), Limits(**{"threads": 1} | limits))


def asking(*texts: str) -> Any:
    def work(client: Client) -> dict[str, Any]:
        return {"said": [client.query(text) for text in texts]}

    return work


async def begun(client: Held) -> None:
    assert await asyncio.to_thread(client.begun.acquire, timeout=10)


async def test_all_who_ask_the_same_get_one_answer(held: Held) -> None:
    answers = answers_of(held)
    waiting = [asyncio.create_task(answers.get("a", asking("one"))) for _ in range(50)]
    await begun(held)
    held.go.set()

    got = await asyncio.gather(*waiting)

    assert held.queries == 1
    assert {json.loads(gzip.decompress(each.packed))["said"][0] for each in got} == {"one"}
    assert answers.questions == 0
    answers.close()


async def test_an_answer_is_kept_for_a_moment_and_then_asked_again(held: Held) -> None:
    clock = ManualClock()
    answers = answers_of(held, clock, kept_ms=1_000)
    held.go.set()
    first = await answers.get("a", asking("one"))
    clock.advance(0.9)
    assert await answers.get("a", asking("one")) is first
    clock.advance(0.2)

    assert await answers.get("a", asking("one")) is not first
    assert held.queries == 2
    answers.close()


async def test_when_the_last_viewer_goes_away_no_further_query_is_asked(held: Held) -> None:
    answers = answers_of(held)
    waiting = [asyncio.create_task(answers.get("a", asking("one", "two", "three"))) for _ in range(2)]
    await begun(held)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert answers.questions == 1
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert answers.questions == 0
    held.go.set()

    other = await answers.get("b", asking("four"))

    assert json.loads(other.plain) == {"said": ["four"]}
    assert held.queries == 2
    answers.close()


async def test_a_question_that_nobody_waits_for_is_dropped_before_it_begins(held: Held) -> None:
    answers = answers_of(held)
    running = asyncio.create_task(answers.get("a", asking("one")))
    await begun(held)
    gone = [asyncio.create_task(answers.get(f"gone {number}", asking("never"))) for number in range(20)]
    await asyncio.sleep(0)
    for each in gone:
        each.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    held.go.set()

    await running

    assert held.queries == 1
    answers.close()


async def test_more_questions_than_the_queue_takes_are_refused_at_once(held: Held) -> None:
    answers = answers_of(held, questions=2)
    taken = [asyncio.create_task(answers.get(key, asking(key))) for key in ("a", "b")]
    await begun(held)
    with pytest.raises(Busy):
        await answers.get("c", asking("c"))
    # Who asks the same as another still joins.
    joined = asyncio.create_task(answers.get("a", asking("a")))
    held.go.set()

    assert (await joined).plain == (await taken[0]).plain
    await taken[1]
    answers.close()


async def test_kept_answers_take_no_more_than_their_bound(held: Held) -> None:
    answers = answers_of(held, kept_bytes=400)
    held.go.set()
    for number in range(30):
        await answers.get(str(number), asking("x" * 100))
        assert answers.kept_bytes <= 400

    assert answers.kept_bytes > 0
    answers.close()


async def test_an_error_reaches_all_who_wait_and_is_not_kept(held: Held) -> None:
    answers = answers_of(held)

    def failing(client: Client) -> dict[str, Any]:
        client.query("one")
        raise LookupError("no table")

    waiting = [asyncio.create_task(answers.get("a", failing)) for _ in range(2)]
    await begun(held)
    held.go.set()
    for each in waiting:
        with pytest.raises(LookupError):
            await each
    assert json.loads((await answers.get("a", asking("fine"))).plain) == {"said": ["fine"]}
    answers.close()


async def test_a_slow_symbol_takes_one_thread_and_leaves_room_in_the_queue(held: Held) -> None:
    quick = Held()
    quick.go.set()
    answers = answers_of(held, threads=2, questions=8)
    slow = [asyncio.create_task(answers.get(f"slow {number}", asking("one"), "SLOW")) for number in range(6)]
    await begun(held)

    def instant(_: Client) -> dict[str, Any]:
        return {"said": quick.query("quick")}

    # All six wait, of which one runs; another symbol is served meanwhile, and the slow one gets no seventh place.
    assert json.loads((await answers.get("other", instant, "OTHER")).plain) == {"said": "quick"}
    with pytest.raises(Busy):
        await answers.get("slow 7", asking("one"), "SLOW")
    assert held.queries == 1
    held.go.set()
    assert len(await asyncio.gather(*slow)) == 6
    assert held.queries == 6
    answers.close()


async def test_a_lane_goes_on_when_its_viewers_go_away(held: Held) -> None:
    answers = answers_of(held)
    tasks = [asyncio.create_task(answers.get(f"{number}", asking("one", "two"), "SYMBOL")) for number in range(5)]
    await begun(held)
    for task in tasks[:4]:
        task.cancel()
    # A cancelled task hears of it on its next turn; the thread may not go on before.
    await asyncio.gather(*tasks[:4], return_exceptions=True)
    held.go.set()

    assert json.loads((await tasks[4]).plain) == {"said": ["one", "two"]}
    # The first was asked one question, those that had not begun none.
    assert held.queries == 3
    assert answers.questions == 0
    answers.close()


async def test_small_questions_go_before_the_large_ones_of_their_lane_in_their_order(held: Held) -> None:
    answers, order = answers_of(held), []

    def noting(name: str) -> Any:
        def work(client: Client) -> dict[str, Any]:
            client.query(name)
            order.append(name)
            return {}

        return work

    tasks = [asyncio.create_task(answers.get(f"{number}", noting(f"large {number}"), "SYMBOL")) for number in range(3)]
    await begun(held)
    for name in ("small 0", "small 1", "small 2"):
        tasks.append(asyncio.create_task(answers.get(name, noting(name), "SYMBOL", is_small=True)))
    await asyncio.sleep(0)
    held.go.set()
    await asyncio.gather(*tasks)

    assert order == ["large 0", "small 0", "small 1", "small 2", "large 1", "large 2"]
    answers.close()
