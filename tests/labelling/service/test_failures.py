"""Wrong tokens are counted by where they come from."""

from prefrl.labelling.service.failures import FailedTokens


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_after_so_many_at_once_it_is_one_in_a_while():
    clock = Clock()
    failed = FailedTokens(6, clock=clock)
    assert [failed.note("1.2.3.4") for _ in range(8)] == [0] * 6 + [10, 10]
    clock.now_s = 9.0
    assert failed.note("1.2.3.4") == 1
    clock.now_s = 10.5
    assert failed.note("1.2.3.4") == 0
    assert failed.note("1.2.3.4") > 0


def test_others_are_not_made_to_wait():
    failed = FailedTokens(1, clock=Clock())
    assert [failed.note(one) for one in ("1.2.3.4", "1.2.3.4", "1.2.3.5", "")] == [0, 60, 0, 0]


def test_a_network_of_ipv6_is_one_address():
    failed = FailedTokens(1, clock=Clock())
    assert failed.note("2001:db8::1") == 0
    assert failed.note("2001:db8::2") > 0
    assert failed.note("2001:db8:0:1::1") == 0


def test_it_remembers_no_more_addresses_than_there_is_room_for():
    failed = FailedTokens(1, clock=Clock())
    for number in range(20_000):
        failed.note(f"10.0.{number // 256}.{number % 256}")
    assert len(failed._left) == 10_000
