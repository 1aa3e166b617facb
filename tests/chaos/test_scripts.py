"""One modem of three fails, each time in another way: every message ends, truly, and the others do not notice.

All chosen scripts run at the same time, each on a gateway of its own, in real time on real ports. How long things
take is measured by `make bench`; the bounds here allow for a busy machine.
"""

import asyncio

import pytest

from bench.chaos.ledger import Verdict, table
from bench.chaos.scripts import SCRIPTS, Script, run
from otpbroker.messaging.outcome import State

pytestmark = pytest.mark.timeout(400)

BUSY_MACHINE = 5.0  # seconds


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> dict[str, Verdict | BaseException]:
    """What came of the scripts that tests were chosen for."""
    chosen = [
        item.callspec.params["script"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]

    async def run_all() -> list[Verdict | BaseException]:
        return await asyncio.gather(*map(run, chosen), return_exceptions=True)

    results = asyncio.run(run_all())
    print(table(verdict for verdict in results if isinstance(verdict, Verdict)))
    return {script.name: result for script, result in zip(chosen, results, strict=True)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_message_is_final_and_true_and_the_others_do_not_notice(
    script: Script, verdicts: dict[str, Verdict | BaseException]
) -> None:
    verdict = verdicts[script.name]
    if isinstance(verdict, BaseException):
        raise verdict
    assert verdict.lost == ()
    assert verdict.doubles == ()
    assert verdict.astray == ()
    assert verdict.turned_away == 0
    assert verdict.of(State.UNKNOWN) <= script.unknown
    assert verdict.longest_hold is not None
    assert verdict.longest_hold <= BUSY_MACHINE
    if verdict.next_modem is not None:
        assert verdict.next_modem <= script.give_up + 1 + BUSY_MACHINE
