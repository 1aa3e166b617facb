"""What `build.sh image` makes of its surroundings before it builds."""

import pytest

from image.build_command import epoch_of
from image.errors import Refused


def test_the_newest_time_of_a_file_is_the_commits_unless_somebody_names_another() -> None:
    assert epoch_of(None, 1_790_000_000) == 1_790_000_000
    assert epoch_of("1760000000", 1_790_000_000) == 1_760_000_000


@pytest.mark.parametrize("wish", ["", "abc", "-1", "1.5", "1_0"])
def test_a_time_that_is_no_number_of_seconds_is_refused(wish: str) -> None:
    with pytest.raises(Refused, match=r"SOURCE_DATE_EPOCH is .*unset it"):
        epoch_of(wish, 1_790_000_000)
