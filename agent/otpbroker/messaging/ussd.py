"""USSD for callers: who may, on which modem, and whose session it is that the network holds open there."""

from otpbroker.clock import Clock
from otpbroker.errors import Rejected, Unavailable
from otpbroker.messaging.command import EndUssd, Origin, ReplyUssd, RunUssd, no_right
from otpbroker.messaging.outcome import UssdEnded, UssdReplied
from otpbroker.messaging.sender import Fleet, Sender, UssdLine
from otpbroker.sms.ussd import UssdAnswer

RIGHT = "ussd"

Owner = tuple[str, str]  # source and caller


class UssdDesk:
    """One session a modem, and it is its opener's alone."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._owners: dict[UssdLine, Owner] = {}  # of what is open, or was when it was last looked at

    async def submit(self, command: RunUssd | ReplyUssd | EndUssd, origin: Origin) -> UssdReplied | UssdEnded:
        """Raises `Denied` without the right, `Rejected` for a reply to nothing, else what `UssdLine` raises."""
        if RIGHT not in origin.rights:
            raise no_right(RIGHT)
        line = self._sender(command.modem_id).ussd
        match command:
            case RunUssd():
                answer = await self._run(line, command.code, origin)
            case ReplyUssd(_, text):
                if not self._owns(line, origin):
                    raise _no_session()
                answer = await line.reply(text)
            case EndUssd():
                if self._owns(line, origin):
                    await line.end()
                return UssdEnded(command.modem_id)
        expires_at = None if answer.expires_in is None else self._clock.now() + answer.expires_in
        return UssdReplied(command.modem_id, answer.text, answer.raw, expires_at)

    async def _run(self, line: UssdLine, code: str, origin: Origin) -> UssdAnswer:
        if self._owns(line, origin) and line.waits:
            # The older products knew no other way to reply than by one more code.
            if not {"*", "#"} & set(code):
                return await line.reply(code)
            await line.end()
        if line.open:
            raise Unavailable("ussd-busy", "a USSD session is open on this modem", field="modem_id")
        self._owners = {known: owner for known, owner in self._owners.items() if known.open}
        self._owners[line] = (origin.source, origin.caller)
        return await line.run(code)

    def _sender(self, modem_id: str) -> Sender:
        for sender in self._fleet.senders:
            if sender.config.id == modem_id:
                return sender
        raise Rejected("modem-unknown", "there is no modem with this id", field="modem_id")

    def _owns(self, line: UssdLine, origin: Origin) -> bool:
        return line.open and self._owners.get(line) == (origin.source, origin.caller)


def _no_session() -> Rejected:
    return Rejected(
        "ussd-no-session",
        "there is no open USSD session of yours on this modem",
        field="modem_id",
        remedy="it ended or its time was over: begin with the code again",
    )
