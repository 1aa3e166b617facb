"""Error families by what the caller can do, each error with a stable code.

The code is what REST answers, logs, metrics and translations share: lower-case words joined by hyphens. The
detail is for people; neither ever holds the text of a message.
"""


class OtpBrokerError(Exception):
    """The root of every error that the product raises on purpose.

    `field` names the input at fault (dotted path), `remedy` says what would cure it.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.field}: " if self.field else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.detail}{remedy}"


class Rejected(OtpBrokerError):
    """The request itself is wrong: change it, then try again."""


class Denied(OtpBrokerError):
    """The caller may not do this."""


class Unavailable(OtpBrokerError):
    """Nothing is wrong with the request: the same one may pass later."""


class UnknownOutcome(OtpBrokerError):
    """It may or may not have happened; only a person or the network can tell."""


class Misconfigured(OtpBrokerError):
    """The device's own settings forbid it: an administrator has to act."""
