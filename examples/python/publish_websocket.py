"""Publish an SMS to a WebSocket broker. Needs: pip install websockets

usage: publish_websocket.py NUMBER TEXT [KEY.json]   with BROKER_URL, BROKER_USER and BROKER_PASSWORD set
BROKER_URL is wss://host:9000/ws?topic=sms, or without ?topic= for a broker of channels (WSMessageBroker).
"""

import base64
import json
import os
import sys
import time
import uuid
from pathlib import Path

from seal import seal
from websockets.sync.client import connect

if len(sys.argv) not in {3, 4}:
    sys.exit("usage: publish_websocket.py NUMBER TEXT [KEY.json]")
now = int(time.time())
data = {
    "id": str(uuid.uuid4()),
    "date_time": now,
    "expiration": now + 300,
    "receiver": sys.argv[1],
    "message": sys.argv[2],
}
request: dict[str, object] = {"command": "send-sms", "data": data}
if len(sys.argv) > 3:
    request = {"jwe": seal(request, json.loads(Path(sys.argv[3]).read_text()))}
in_channel = "topic=" not in os.environ["BROKER_URL"]
if in_channel:
    request = {"command": "send-message", "channel": "sms", "data": [request]}
basic = base64.b64encode(f"{os.environ['BROKER_USER']}:{os.environ['BROKER_PASSWORD']}".encode()).decode()
with connect(os.environ["BROKER_URL"], additional_headers={"Authorization": f"Basic {basic}"}) as socket:
    if in_channel and json.loads(socket.recv(timeout=10)).get("response_code") != "00":  # its greeting
        sys.exit("the broker refused user name or password")
    socket.send(json.dumps(request))
