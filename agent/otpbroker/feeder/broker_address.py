"""The addresses at a WebSocket broker: of the channel that is taken from, and of topics that answers go to."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


class BrokerAddress:
    """Every generation finds its own parameter; one that the configured URL has already stays.

    `own`: what the channel is called there, by whichever parameter the broker looks at.
    """

    def __init__(self, url: str, channel: str) -> None:
        self._parts = urlsplit(url)
        self._given = dict(parse_qsl(self._parts.query, keep_blank_values=True))
        query = {"channel": channel, "topic": channel} | self._given
        self.channel = self._with(query)
        self.own = frozenset({channel, query["channel"], query["topic"]})

    def topic(self, name: str) -> str:
        """For a connection of its own; without the channel, where a bare broker would take it for one's own."""
        names = {"topic": name} | ({"channel": name} if "channel" in self._given else {})
        return self._with(self._given | names)

    def _with(self, query: dict[str, str]) -> str:
        return urlunsplit(self._parts._replace(path=self._parts.path or "/", query=urlencode(query)))
