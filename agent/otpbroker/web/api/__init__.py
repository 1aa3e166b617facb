"""REST for applications: the historic paths and the modern `/api/v1`."""

from otpbroker.web.api.app import create_api_app

__all__ = ["create_api_app"]
