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

    async def run(self, command: RunUssd, origin: Origin) -> UssdReplied:
        """Raises `Denied` without the right, else what `UssdLine` raises."""
        line = self._line(command.modem_id, origin)
        if self._owns(line, origin):
            # The older products knew no other way to reply than by one more code.
            if not {"*", "#"} & set(command.code):
                return self._replied(command.modem_id, await line.reply(command.code))
            await line.end()
        if line.open:
            raise Unavailable("ussd-busy", "a USSD session of somebody else is open on this modem", field="modem_id")
        self._forget_closed()
        self._owners[line] = (origin.source, origin.caller)
        return self._replied(command.modem_id, await line.run(command.code))

    async def reply(self, command: ReplyUssd, origin: Origin) -> UssdReplied:
        """Raises `Rejected` when no session of this caller is open."""
        line = self._line(command.modem_id, origin)
        if not self._owns(line, origin):
            raise Rejected(
                "ussd-no-session",
                "there is no open USSD session of yours on this modem",
                field="modem_id",
                remedy="it ended or its time was over: begin with the code again",
            )
        return self._replied(command.modem_id, await line.reply(command.text))

    async def end(self, command: EndUssd, origin: Origin) -> UssdEnded:
        line = self._line(command.modem_id, origin)
        if self._owns(line, origin):
            await line.end()
        return UssdEnded(command.modem_id)

    def _line(self, modem_id: str, origin: Origin) -> UssdLine:
        if RIGHT not in origin.rights:
            raise no_right(RIGHT)
        return self._sender(modem_id).ussd

    def _sender(self, modem_id: str) -> Sender:
        for sender in self._fleet.senders:
            if sender.config.id == modem_id:
                return sender
        raise Rejected("modem-unknown", "there is no modem with this id", field="modem_id")

    def _owns(self, line: UssdLine, origin: Origin) -> bool:
        return line.open and self._owners.get(line) == (origin.source, origin.caller)

    def _forget_closed(self) -> None:
        self._owners = {line: owner for line, owner in self._owners.items() if line.open}

    def _replied(self, modem_id: str, answer: UssdAnswer) -> UssdReplied:
        expires_at = None if answer.expires_in is None else self._clock.now() + answer.expires_in
        return UssdReplied(modem_id, answer.text, answer.raw, expires_at)
