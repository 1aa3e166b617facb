"""Publish an SMS to RabbitMQ, and be told whether the broker has it. Needs: pip install pika

usage: publish_rabbitmq.py NUMBER TEXT [KEY.json]   with AMQP_URL set, as amqps://user:password@host/vhost
"""

import json
import os
import sys
import time
import uuid
from pathlib import Path

import pika
from seal import seal

if len(sys.argv) not in {3, 4}:
    sys.exit("usage: publish_rabbitmq.py NUMBER TEXT [KEY.json]")
now = int(time.time())
name = str(uuid.uuid4())
data = {"id": name, "date_time": now, "expiration": now + 300, "receiver": sys.argv[1], "message": sys.argv[2]}
request = {"command": "send-sms", "data": data}
body = json.dumps(request)
if len(sys.argv) > 3:
    body = seal(request, json.loads(Path(sys.argv[3]).read_text()))
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.confirm_delivery()  # without it a message for a queue that is not there is lost silently
    properties = pika.BasicProperties(message_id=name, delivery_mode=2, expiration="300000")
    channel.basic_publish("", os.environ.get("QUEUE", "sms"), body, properties, mandatory=True)
