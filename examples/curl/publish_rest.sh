#!/bin/sh
# Send an SMS by the device's REST API, and say what became of it.
# usage: publish_rest.sh NUMBER TEXT   with DEVICE_URL (http://host:8889), API_USER and API_PASSWORD set
set -eu
if [ $# -ne 2 ]; then echo "usage: publish_rest.sh NUMBER TEXT" >&2; exit 1; fi
escaped() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
# The password comes by standard input: every user of this computer could read it in the list of processes.
printf 'user = "%s:%s"\n' "$(escaped "$API_USER")" "$(escaped "$API_PASSWORD")" |
    curl --silent --show-error --fail-with-body --config - --url "$DEVICE_URL/api/v1/messages" \
        --header 'Content-Type: application/json' --header 'Prefer: wait=30' \
        --data "{\"receiver\": \"$(escaped "$1")\", \"text\": \"$(escaped "$2")\"}"
echo
