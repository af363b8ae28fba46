"""The table of breakages is up to date: each finds what it breaks, once."""

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

MUTANTS_MIN = 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_finds_what_it_breaks(mutant: Mutant) -> None:
    assert mutant.occurrences() == 1
    assert mutant.old != mutant.new


def test_mutants_are_many_and_have_names_of_their_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) >= MUTANTS_MIN
