// Keeps the overview fresh: each event of the stream is a JSON object of element id -> its new HTML.

import { freshen } from "./site.js";

const page = document.querySelector("[data-live]");
const state = document.getElementById("live-state");
const word = state.querySelector("[data-word]");
const live = word.textContent;
const announcer = document.getElementById("announcer");
const shown = new Map();

function show(connected) {
  state.classList.toggle("lost", !connected);
  word.textContent = connected ? live : page.dataset.lost;
}

function replace(id, html) {
  const old = document.getElementById(id);
  if (!old || shown.get(id) === html) return;
  shown.set(id, html);
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  for (const details of old.querySelectorAll("details[open]")) {
    fresh.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
  const focused = old.contains(document.activeElement) ? path(document.activeElement, old) : null;
  if (old.dataset.state && old.dataset.state !== fresh.dataset.state) {
    announcer.textContent = fresh.dataset.announce;
  }
  old.replaceWith(fresh);
  focused?.reduce((element, position) => element?.children[position], fresh)?.focus();
}

function path(element, root) {
  const positions = [];
  for (; element !== root; element = element.parentElement) {
    positions.unshift([...element.parentElement.children].indexOf(element));
  }
  return positions;
}

const stream = new EventSource(page.dataset.live);
stream.addEventListener("open", () => show(true));
stream.addEventListener("update", (event) => {
  for (const [id, html] of Object.entries(JSON.parse(event.data))) replace(id, html);
  freshen(page);
});
// The session is over: the server shows the log-in.
stream.addEventListener("ended", () => location.reload());
stream.addEventListener("error", () => {
  show(false);
  // Refused for good: let the server say what comes next.
  if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
});
