// Shows what is new on the simulated phone: at each event the page asks the server for itself anew.

const state = document.querySelector("[data-live]");
let wanted = 0;
let busy = false;

function shown() {
  return Number(document.querySelector("main").dataset.revision);
}

async function freshen() {
  if (busy) return;
  busy = true;
  try {
    while (shown() < wanted) {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) break;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(page.querySelector("main"));
    }
  } catch {
    // The server has gone; the stream says so and asks again when it is back.
  } finally {
    busy = false;
  }
}

function show(connected) {
  state.classList.toggle("on", connected);
  state.textContent = connected ? "Live" : "Not connected";
}

const stream = new EventSource("/events");
stream.addEventListener("open", () => show(true));
stream.addEventListener("error", () => show(false));
stream.addEventListener("revision", (event) => {
  wanted = Number(event.data);
  // A server that was started anew counts from the beginning.
  if (wanted < shown()) document.querySelector("main").dataset.revision = -1;
  freshen();
});
