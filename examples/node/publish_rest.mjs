// Send an SMS by the device's REST API. Node 18 or newer.
// usage: node publish_rest.mjs NUMBER TEXT   with DEVICE_URL (http://host:8889), API_USER and API_PASSWORD set
if (process.argv.length !== 4) throw new Error("usage: node publish_rest.mjs NUMBER TEXT");
const [receiver, text] = process.argv.slice(2);
const { DEVICE_URL, API_USER, API_PASSWORD } = process.env;
const answer = await fetch(`${DEVICE_URL}/api/v1/messages`, {
  method: "POST",
  headers: {
    Authorization: `Basic ${Buffer.from(`${API_USER}:${API_PASSWORD}`).toString("base64")}`,
    "Content-Type": "application/json",
    Prefer: "wait=30",
  },
  body: JSON.stringify({ receiver, text }),
});
console.log(await answer.text());
process.exitCode = answer.ok ? 0 : 1;
