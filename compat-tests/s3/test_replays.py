"""Every name that passes in Ceph's suite is replayed here, so that CI sees when one no longer would."""

from support.replays import all_replayed, listed


def test_every_passing_name_is_replayed():
    missing = sorted(set(listed("passing.txt")) - all_replayed())
    assert not missing, f"{len(missing)} names of passing.txt have no replay: {missing}"


def test_no_replay_names_what_the_suite_has_not():
    unknown = sorted(all_replayed() - set(listed("passing.txt")) - set(listed("core.txt")))
    assert not unknown, f"in neither list: {unknown}"


def test_the_list_is_in_order_and_says_nothing_twice():
    names = listed("passing.txt")
    assert names == sorted(set(names))
