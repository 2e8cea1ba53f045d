"""The audit bites: it names what is lost, doubled, and written by nobody."""
from audit import Ledger, audit


def test_every_acknowledged_write_is_looked_for():
    result = audit([Ledger(acknowledged=[1, 2, 3], unknown=[4, 5]), Ledger(acknowledged=[11, 12])], [1, 3, 3, 4, 11, 12, 99])
    assert result.lost == [2]
    assert result.doubled == [3]
    assert result.foreign == [99]
    assert (result.unknown_stored, result.unknown_absent) == (1, 1)
    assert result.acknowledged == 5


def test_unknown_outcomes_are_neither_lost_nor_foreign():
    result = audit([Ledger(unknown=[1, 2])], [2])
    assert not result.lost and not result.foreign
