"""What the modems hand over: delivery reports and messages, each to where it belongs."""

from otpbroker.messaging.delivery_reports import DeliveryReports
from otpbroker.messaging.inbox import Inbox
from otpbroker.sms.deliver import Deliver
from otpbroker.sms.reassemble import Message
from otpbroker.sms.status_report import StatusReport


class Inbound:
    """Fits `modem.shared.Inbound`."""

    def __init__(self, delivery_reports: DeliveryReports, inbox: Inbox) -> None:
        self._delivery_reports = delivery_reports
        self._inbox = inbox

    def reported(self, modem_id: str, report: StatusReport) -> None:
        self._delivery_reports.reported(modem_id, report)

    async def received(self, modem_id: str, message: Message) -> bool:
        return await self._inbox.received(modem_id, message)

    def holds(self, modem_id: str, part: Deliver) -> bool:
        return self._inbox.holds(modem_id, part)
