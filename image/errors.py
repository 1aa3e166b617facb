"""Why a step of the image could not be done, for a person to read: each says what would cure it."""


class ImageError(Exception):
    """The root: `remedy` says what to do about it."""

    def __init__(self, detail: str, *, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.detail} ({self.remedy})" if self.remedy else self.detail


class Refused(ImageError):
    """What was asked for is wrong or dangerous: nothing was changed."""


class Missing(ImageError):
    """The build host lacks a tool or a right."""


class Failed(ImageError):
    """A tool said no, or a check did not hold."""
