"""What a running agent's REST API answers to the commands that use it."""

from typing import Any

import httpx2

from otpbroker.errors import Denied, Unavailable


def api_answer(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON object in it, whatever its status. Raises `Denied` for 401, `Unavailable` where there is none."""
    if answer.status_code == 401:
        raise Denied("unauthorized", "the API user or its password is wrong")
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Unavailable(
            "not-the-agent",
            f"{answer.url} answered {answer.status_code}, not in JSON as the agent does",
            remedy="check --url, and the proxy where there is one",
        )
    return body
