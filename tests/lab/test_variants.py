import pytest

from lab.variants import WITH, WITHOUT, Variant, variant
from prefrl.config import RewardConfig
from prefrl.errors import DataError


@pytest.mark.parametrize("name", [f"enhanced -{part}" for part in WITHOUT])
def test_every_part_left_out_changes_what_the_defaults_come_to(name: str) -> None:
    assert variant(name).config().decided() != RewardConfig().decided()


@pytest.mark.parametrize("part", sorted(set(WITH) - {"held-out"}))
def test_every_part_added_is_one_that_the_defaults_do_without(part: str) -> None:
    changed = variant(f"enhanced +{part}").config().decided()
    assert changed != RewardConfig().decided()


def test_the_defaults_have_a_name_too() -> None:
    assert variant("enhanced") == Variant()
    assert Variant().config() == RewardConfig()


@pytest.mark.parametrize("name", ["enhanced -brain", "enhanced +bank", "single -bank", "", "-bank"])
def test_an_unknown_variant_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(DataError, match=r"there is no variant .*enhanced -bank"):
        variant(name)
