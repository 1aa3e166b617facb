"""Publish an SMS to our relay and wait until the device said what became of it. Needs: pip install websockets

usage: publish_relay.py NUMBER TEXT [KEY.json]   with BROKER_URL, BROKER_USER and BROKER_PASSWORD set
BROKER_URL is wss://host:9000/ws?channel=sms
"""

import base64
import json
import os
import sys
import time
import uuid
from pathlib import Path

from websockets.sync.client import connect

if len(sys.argv) not in {3, 4}:
    sys.exit("usage: publish_relay.py NUMBER TEXT [KEY.json]")
now = int(time.time())
name = str(uuid.uuid4())  # when the connection is lost before "settled": say it again with the same id
data = {"id": name, "date_time": now, "expiration": now + 300, "receiver": sys.argv[1], "message": sys.argv[2]}
body = json.dumps({"command": "send-sms", "data": data})
if len(sys.argv) > 3:
    from seal import seal  # needs joserfc

    body = seal(json.loads(body), json.loads(Path(sys.argv[3]).read_text()))
basic = base64.b64encode(f"{os.environ['BROKER_USER']}:{os.environ['BROKER_PASSWORD']}".encode()).decode()
headers = {"Authorization": f"Basic {basic}"}
with connect(os.environ["BROKER_URL"], additional_headers=headers, subprotocols=["otpbroker.ack.v1"]) as socket:
    socket.send(json.dumps({"type": "publish", "id": name, "body": body, "expires_at": now + 300}))
    answer = json.loads(socket.recv(timeout=30))  # accepted: the relay has it; declined: with a reason
    print(json.dumps(answer))
    while answer["type"] == "accepted":
        answer = json.loads(socket.recv(timeout=600))  # settled: done, unknown, refused or expired
        print(json.dumps(answer))
sys.exit(answer.get("verdict") != "done")
