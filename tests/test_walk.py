"""A flag of `compare` comes to the Trial on a short path: its stops and climbs are counted as it runs."""

from __future__ import annotations

import house
import walk


def test_the_path_of_a_flag_is_short() -> None:
    path = walk.walk()
    assert path.stops[0] == "cli.compare.compare" and "study.plan.specs_of" in path.stops, path
    assert len(path.stops) <= walk.MOST_STOPS and len(path.climbs) <= walk.MOST_CLIMBS, path
    assert len(path.stops) > 15, "a walk that sees nothing would be short for ever"


def test_the_map_of_the_house_is_drawn() -> None:
    assert len(house.rooms()) > 20 and len(house.longest()) == 2 and house.names()["self"] > 1000
    assert not house.circles()
