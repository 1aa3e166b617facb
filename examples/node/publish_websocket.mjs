// Publish an SMS to a WebSocket broker, with what Node has. Node 18 or newer.
// usage: node publish_websocket.mjs NUMBER TEXT [KEY.json]   with BROKER_URL, BROKER_USER, BROKER_PASSWORD set
// BROKER_URL is wss://host:9000/ws?topic=sms, or without ?topic= for a broker of channels (WSMessageBroker).
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { seal } from "./seal.mjs";

if (![4, 5].includes(process.argv.length)) throw new Error("usage: node publish_websocket.mjs NUMBER TEXT [KEY.json]");
const [receiver, message, keyFile] = process.argv.slice(2);
const { BROKER_URL, BROKER_USER, BROKER_PASSWORD } = process.env;
const now = Math.floor(Date.now() / 1000);
const data = { id: randomUUID(), date_time: now, expiration: now + 300, receiver, message };
let request = { command: "send-sms", data };
if (keyFile) request = { jwe: seal(request, JSON.parse(readFileSync(keyFile, "utf8"))) };
const inChannel = !BROKER_URL.includes("topic=");
if (inChannel) request = { command: "send-message", channel: "sms", data: [request] };

// One text frame, masked as RFC 6455 section 5.3 wants it of clients, then a closing frame.
function frame(opcode, payload) {
  const mask = randomBytes(4);
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
  length[0] |= 128;
  return Buffer.concat([Buffer.from([128 | opcode, ...length]), mask, payload.map((octet, i) => octet ^ mask[i % 4])]);
}

// Such a broker greets first, with one text frame, and says in it whether it lets us in.
function greeted(octets) {
  if (octets.length < 4) return undefined;
  const [start, size] = octets[1] < 126 ? [2, octets[1]] : [4, octets.readUInt16BE(2)];
  if (octets.length < start + size) return undefined;
  return JSON.parse(octets.subarray(start, start + size)).response_code === "00";
}

const client = BROKER_URL.startsWith("wss:") ? https : http;
const headers = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" };
headers["Sec-WebSocket-Key"] = randomBytes(16).toString("base64");
const auth = `${BROKER_USER}:${BROKER_PASSWORD}`;
client
  .get(BROKER_URL.replace(/^ws/, "http"), { auth, headers })
  .on("response", ({ statusCode }) => { throw new Error(`the broker said HTTP ${statusCode}`); })
  .on("upgrade", (_, socket, heard) => {
    let published = false;
    const listen = (octets) => {
      heard = Buffer.concat([heard, octets]);
      const accepted = !inChannel || greeted(heard);
      if (accepted === false) socket.destroy();
      if (!accepted || published) return;
      published = true;
      socket.end(Buffer.concat([frame(1, Buffer.from(JSON.stringify(request))), frame(8, Buffer.from([3, 232]))]));
    };
    socket.setTimeout(10000, () => socket.destroy()).on("data", listen).on("close", () => {
      if (!published) console.error("the broker refused user name or password, or said nothing");
      process.exit(published ? 0 : 1);
    });
    listen(Buffer.alloc(0));
  });
