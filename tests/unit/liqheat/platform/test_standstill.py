"""A partition that Kafka's client no longer delivers, and those that only wait for their turn."""

from liqheat.platform.standstill import Standstill


def test_an_idle_worker_with_messages_to_read_is_at_a_standstill_after_twenty_seconds() -> None:
    standstill = Standstill[int]()
    found = [standstill.look(second, {2: 0, 3: 8}, {3: float(second)}) for second in range(26)]
    assert found == [None] * 21 + [3] * 5


def test_a_worker_without_messages_to_read_is_idle_and_well() -> None:
    standstill = Standstill[int]()
    assert not any(standstill.look(second, {2: 5, 3: 8}, {}) for second in range(0, 600, 5))


def test_a_partition_that_waits_while_others_are_read_has_two_minutes() -> None:
    standstill = Standstill[int]()
    found = [standstill.look(second, {2: second, 3: 8}, {2: 1.0, 3: float(second)}) for second in range(0, 130, 5)]
    assert found == [None] * 25 + [3]


def test_messages_that_came_a_moment_ago_are_no_standstill_whatever_is_committed() -> None:
    standstill = Standstill[int]()
    assert not any(standstill.look(second, {3: second // 10}, {3: 500.0}) for second in range(200))


def test_partitions_of_others_do_not_count_and_one_that_comes_back_begins_again() -> None:
    standstill = Standstill[int]()
    standstill.look(0.0, {3: 8}, {3: 0.0})
    assert standstill.look(30.0, {2: 0}, {3: 30.0}) is None
    assert standstill.look(31.0, {2: 0, 3: 8}, {3: 31.0}) is None
    assert standstill.look(60.0, {2: 0, 3: 8}, {3: 60.0}) == 3


def test_a_client_has_all_its_time_again_once_the_broker_is_back() -> None:
    standstill = Standstill[int]()
    standing = [None if 5 <= second < 65 else {3: float(second)} for second in range(90)]
    found = [standstill.look(second, {2: 0, 3: 8}, known) for second, known in enumerate(standing)]
    assert found == [None] * 86 + [3] * 4
