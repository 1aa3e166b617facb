"""Publish an SMS to our relay and wait until the device said what became of it. Needs: pip install websockets

usage: publish_relay.py NUMBER TEXT   with BROKER_URL, BROKER_USER and BROKER_PASSWORD set
BROKER_URL is wss://host:9000/ws?channel=sms
"""

import base64
import json
import os
import sys
import uuid

from websockets.sync.client import connect

name = str(uuid.uuid4())  # when the connection is lost before "settled": say it again with the same id
command = {"command": "send-sms", "data": {"id": name, "receiver": sys.argv[1], "message": sys.argv[2]}}
basic = base64.b64encode(f"{os.environ['BROKER_USER']}:{os.environ['BROKER_PASSWORD']}".encode()).decode()
headers = {"Authorization": f"Basic {basic}"}
with connect(os.environ["BROKER_URL"], additional_headers=headers, subprotocols=["otpbroker.ack.v1"]) as socket:
    socket.send(json.dumps({"type": "publish", "id": name, "body": json.dumps(command)}))
    answer = json.loads(socket.recv())  # accepted: the relay has it; declined: with a reason
    print(json.dumps(answer))
    while answer["type"] == "accepted":
        answer = json.loads(socket.recv(timeout=600))  # settled: done, unknown, refused or expired
        print(json.dumps(answer))
sys.exit(answer.get("verdict") != "done")
