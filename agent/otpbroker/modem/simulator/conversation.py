"""The modem's side of one plugged-in life: octets of the terminal in, answers and unsolicited lines out."""

import random
from collections.abc import Callable
from dataclasses import replace

from otpbroker.modem.simulator.behaviour import Behaviour, Fate
from otpbroker.modem.simulator.command_line import (
    CARRIAGE_RETURN,
    END_OF_TEXT,
    Entry,
    MalformedLine,
    body_of,
    commands_of,
)
from otpbroker.modem.simulator.deliveries import Deliveries
from otpbroker.modem.simulator.disturbance import Disturbance
from otpbroker.modem.simulator.equipment import Equipment
from otpbroker.modem.simulator.lines import block
from otpbroker.modem.simulator.message_commands import execute
from otpbroker.modem.simulator.network import Network
from otpbroker.modem.simulator.phone import Part
from otpbroker.modem.simulator.replies import (
    Acknowledged,
    AtError,
    Cme,
    Cms,
    Lines,
    Prompt,
    RadioOff,
    Reply,
    Restart,
    RoomMade,
    Ussd,
    UssdCancel,
)
from otpbroker.modem.simulator.timers import Timers
from otpbroker.modem.simulator.ussd import UssdService

_NUMERIC = {"OK": "0", "ERROR": "4"}


class Conversation:
    """One command line at a time; what comes meanwhile waits its turn.

    `write` takes octets for the terminal, `unplug` pulls the plug (fate `UNPLUG`).
    """

    def __init__(
        self,
        equipment: Equipment,
        network: Network,
        deliveries: Deliveries,
        write: Callable[[bytes], None],
        unplug: Callable[[], None],
        dice: random.Random,
    ) -> None:
        self._equipment = equipment
        self._network = network
        self._deliveries = deliveries
        self._write = write
        self._unplug = unplug
        self._dice = dice
        self._disturbance = Disturbance(dice, self._disturb)
        self._entry = Entry()
        self._prompt: tuple[Prompt, Fate] | None = None
        self._busy = False
        self._deaf = False
        self._timers = Timers()
        self._late_timers = Timers()  # answers that the terminal may have given up
        self._ussd = UssdService(equipment, self.announce)
        self.obey(equipment.behaviour)
        deliveries.attach(self.announce)

    def listen(self, octets: bytes) -> None:
        """What the terminal has written."""
        if self._deaf or self._equipment.behaviour.silent:
            return
        self._entry.type(octets)
        self._advance()

    def obey(self, before: Behaviour) -> None:
        """The equipment's behaviour is new; `before` was in force until now."""
        now = self._equipment.behaviour
        if now.registration != before.registration:
            self._tell_registration()
        self._disturbance.obey(now)

    def announce(self, *lines: str) -> None:
        """Unsolicited lines: one block."""
        if not self._deaf:
            self._say(block(lines))

    def reseat(self, *, told: bool) -> None:
        """The card was taken out and put back: it asks for its PIN again; `told`: the modem says so."""
        self._equipment.sim.power_up()
        if told:
            self.announce("+CPIN: NOT READY")
            self._tell_card()
            self._tell_registration()

    def restart(self) -> None:
        """The modem starts anew: all that was going on is gone, and it is deaf while it boots."""
        self._timers.cancel()
        self._late_timers.cancel()
        self._ussd.clear()
        self._entry.clear()
        self._prompt = None
        self._busy = False
        self._deaf = True
        self._deliveries.detach()
        self._equipment.restart()
        self._equipment.counters.resets += 1
        self._timers.after(self._equipment.behaviour.boot, self._booted)

    def close(self) -> None:
        self._deaf = True
        self._deliveries.detach()
        self._ussd.clear()
        self._timers.cancel()
        self._late_timers.cancel()
        self._disturbance.cancel()

    def _booted(self) -> None:
        self._deaf = False
        if self._equipment.behaviour.boot_told:
            self._tell_card()
            self.announce("SMS Ready")
        self._deliveries.attach(self.announce)

    def _tell_card(self) -> None:
        sim = self._equipment.sim
        if not sim.absent and sim.puk_left:
            self.announce(f"+CPIN: {sim.state}")

    def _tell_registration(self) -> None:
        for name in ("+CREG", "+CGREG", "+CEREG"):
            if self._equipment.settings.number(name):
                self.announce(f"{name}: {self._equipment.registration}")

    def _disturb(self, octets: bytes) -> None:
        if not self._deaf:
            self._say(octets)

    def _advance(self) -> None:
        while self._entry and not self._busy and not self._deaf:
            fresh, unit = self._entry.advance(END_OF_TEXT if self._prompt else CARRIAGE_RETURN)
            if fresh and (self._equipment.settings.echo or self._equipment.behaviour.echo_stuck):
                self._say(fresh.translate(None, b"\n" + END_OF_TEXT))
            if unit is None:
                return
            if self._prompt is None:
                self._carry_out(unit)
            else:
                prompt, fate = self._prompt
                self._prompt = None
                self._take_text(prompt, fate, unit)

    def _carry_out(self, line: bytes) -> None:
        """A command line: its commands in turn until one fails, then one final result (V.250 section 5.2)."""
        body = body_of(line)
        if body is None:
            return
        replies: list[Reply] = []
        final = "OK"
        try:
            for command in commands_of(body):
                reply = execute(self._equipment, command)
                replies.append(reply)
                if isinstance(reply, Prompt):
                    break
        except MalformedLine:
            final = AtError(Cme.NOT_SUPPORTED).line(self._equipment.settings.number("+CMEE"))
        except AtError as error:
            final = error.line(self._equipment.settings.number("+CMEE"))
        self._hold(self._equipment.behaviour.latency, lambda: self._reply(replies, final))

    def _reply(self, replies: list[Reply], final: str) -> None:
        if replies and isinstance(replies[-1], Prompt):
            self._show(replies[-1])
            return
        self._answer([reply for reply in replies if isinstance(reply, tuple) and reply], final)
        for reply in replies:
            match reply:
                case Ussd(code):
                    self._ussd.ask(code)
                case UssdCancel():
                    self._ussd.cancel()
                case RadioOff():
                    self._late_timers.cancel()
                case Restart():
                    self.restart()
                case Acknowledged(kept):
                    self._deliveries.acknowledged(kept=kept)
                case RoomMade():
                    self._deliveries.bring_again()

    def _show(self, prompt: Prompt) -> None:
        fate = self._next_fate()
        if fate is Fate.IGNORED:
            return
        if fate is Fate.RESET_FIRST:
            self.restart()
            return
        self._prompt = prompt, fate
        self._equipment.counters.ussd_clashes += self._ussd.busy
        if fate is not Fate.LOST_PROMPT:
            self._equipment.counters.prompts += 1
            self._say(self._noise() + b"\r\n> ")

    def _next_fate(self) -> Fate:
        behaviour = self._equipment.behaviour
        if not behaviour.next_sends:
            return behaviour.every_send
        self._equipment.behaviour = replace(behaviour, next_sends=behaviour.next_sends[1:])
        return behaviour.next_sends[0]

    def _take_text(self, prompt: Prompt, fate: Fate, text: bytes) -> None:
        """What follows the prompt, up to control-Z or ESC (3GPP TS 27.005 sections 3.5.1 and 4.3)."""
        if text[-1] == 0x1B:
            self._answer([], "OK")
            return
        self._equipment.counters.cmgs += 1
        written = text[:-1].decode("ascii", "replace").removeprefix("\n")
        try:
            part = self._network.read(prompt, written, self._equipment.settings.charset)
        except ValueError:
            self._answer([], AtError(Cms.INVALID_PDU).line(0))
            return
        air = self._air_time()
        if fate is Fate.RESET:
            self._hold(air / 2, self.restart)
        else:
            self._hold(air, lambda: self._land(part, fate))

    def _air_time(self) -> float:
        match self._equipment.behaviour.air:
            case (shortest, longest):
                return self._dice.uniform(shortest, longest)
            case fixed:
                return fixed

    def _land(self, part: Part, fate: Fate) -> None:
        """The air time is over: the phone has the message, or the network refused it."""
        equipment = self._equipment
        refusal = equipment.behaviour.receiver_errors.get(part.receiver)
        if refusal is None and fate is Fate.ERROR:
            refusal = equipment.behaviour.cms_error
        if refusal is not None:
            self._answer([], f"+CMS ERROR: {refusal}")
            return
        reference = equipment.next_reference()
        self._network.carry(equipment.identity.name, part)
        if part.status_report:
            self._report(part, reference)
        sent: list[Lines] = [(f"+CMGS: {reference}",)]
        match fate:
            case Fate.LOST_OK:
                pass
            case Fate.LATE_OK:
                self._late_timers.after(equipment.behaviour.late, lambda: self._answer(sent, "OK"))
            case Fate.UNPLUG:
                self._unplug()
            case _:
                self._answer(sent, "OK")

    def _report(self, part: Part, reference: int) -> None:
        """The service centre tells what became of a part, perhaps more than once."""
        behaviour = self._equipment.behaviour
        if behaviour.status_report is None:
            return
        sent_at = self._network.now()
        statuses = behaviour.receiver_statuses.get(part.receiver, behaviour.report_statuses)
        for number, status in enumerate(statuses):
            pdu = self._network.status_report(part.receiver, reference, sent_at=sent_at, status=status)
            self._deliveries.after(behaviour.status_report + number * behaviour.report_gap, pdu, report=True)

    def _hold(self, seconds: float, act: Callable[[], None]) -> None:
        """Act after a time in which the modem takes no further command; at once if there is none."""
        if seconds <= 0:
            act()
            return
        self._busy = True

        def finish() -> None:
            self._busy = False
            act()
            self._advance()

        self._timers.after(seconds, finish)

    def _answer(self, blocks: list[Lines], final: str) -> None:
        settings = self._equipment.settings
        storm = self._equipment.behaviour.storm > 0
        octets = bytearray(self._noise())
        for lines in blocks:
            octets += block(lines)
            if storm:
                octets += self._disturbance.line()
        if not settings.quiet:
            verbose = settings.verbose or final not in _NUMERIC
            octets += block((final,)) if verbose else f"{_NUMERIC[final]}\r".encode()
        self._say(bytes(octets))

    def _noise(self) -> bytes:
        return self._disturbance.noise(self._equipment.behaviour.noise)

    def _say(self, octets: bytes) -> None:
        behaviour = self._equipment.behaviour
        if octets and not behaviour.silent and not behaviour.mute:
            self._write(octets)
