"""The chaos suite's table for the documentation, and its bounds."""

import asyncio
import logging
from pathlib import Path

from bench.chaos import plugging, scripts
from bench.chaos.ledger import Verdict, table
from bench.scenarios import Row, at_most

_SEED = 20261126
_AFTER_GIVING_UP = 1.0  # seconds until the next modem has the message
_REPLUG = 2.0


async def chaos(_folder: Path) -> list[Row]:
    """All scripts at the same time, each on a gateway of its own, then the plugging."""
    logging.getLogger("otpbroker").addHandler(logging.NullHandler())  # what is broken here on purpose is no news
    verdicts: list[Verdict] = list(await asyncio.gather(*map(scripts.run, scripts.SCRIPTS)))
    verdicts.append(await plugging.run(_SEED))
    print(f"\n{table(verdicts)}\n")
    total = sum(verdict.messages for verdict in verdicts)
    late = max(verdict.next_modem - verdict.give_up for verdict in verdicts if verdict.next_modem is not None)
    holds = [verdict.longest_hold for verdict in verdicts if verdict.longest_hold is not None]
    replugs = [seconds for verdict in verdicts for seconds in verdict.replug]
    return [
        at_most(f"chaos, {total} messages: lost", sum(len(verdict.lost) for verdict in verdicts), 0, ""),
        at_most("chaos: silent doubles", sum(len(verdict.doubles) for verdict in verdicts), 0, ""),
        at_most("chaos: by a wrong SIM", sum(len(verdict.astray) for verdict in verdicts), 0, ""),
        Row("chaos: longest hold of a message that no fault touched", f"{max(holds):.2f} s", "", good=True),
        at_most("chaos: to the next modem after giving up", late, _AFTER_GIVING_UP, "s"),
        at_most(f"chaos: from plugging in to sending, worst of {len(replugs)}", max(replugs), _REPLUG, "s"),
    ]
