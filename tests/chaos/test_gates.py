"""The verdicts bite: what two open gates look like, and what the surviving history may lack."""
import pytest

import gates
from writers import Ack


def ack(row, timeline, sent, received, lsn=0):
    return Ack(row, "w", timeline, lsn, sent, received)


def test_a_write_that_was_sent_after_a_newer_acknowledgement_proves_two_open_gates():
    acks = [ack(1, 2, 0.0, 0.1), ack(2, 3, 1.0, 1.1), ack(3, 2, 1.2, 1.3)]
    assert gates.two_open_gates(acks) == [(acks[2], acks[1])]


def test_an_answer_that_was_long_under_way_proves_nothing():
    assert gates.two_open_gates([ack(1, 3, 1.0, 1.1), ack(2, 2, 1.05, 9.0)]) == []


def test_one_history_after_the_other_is_fine():
    assert gates.two_open_gates([ack(1, 2, 0.0, 0.1), ack(2, 3, 0.5, 0.6), ack(3, 4, 0.7, 0.8)]) == []


def test_lost_bytes_count_from_the_fork():
    forks = gates.parse_history("1\t0/1000\tno recovery target specified\n2\t1/00000010\tx\n")
    assert forks == [gates.Fork(1, 0x1000), gates.Fork(2, 0x100000010)]
    acks = [ack(1, 2, 0, 0, 0x100000010 - 8), ack(2, 2, 0, 0, 0x100000010 + 500), ack(3, 2, 0, 0, 0x100000010 + 900)]
    assert gates.bytes_lost(acks, [1, 2], forks, 3) == 500


def test_nothing_excuses_a_loss_on_the_surviving_timeline():
    with pytest.raises(ValueError):
        gates.bytes_lost([ack(1, 3, 0, 0, 77)], [1], [gates.Fork(2, 10)], 3)


def test_silence_is_measured_between_any_two_acknowledgements():
    assert gates.longest_silence([ack(1, 2, 0, 3.0), ack(2, 2, 0, 1.0), ack(3, 3, 0, 3.5)]) == 2.0
