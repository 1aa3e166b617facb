// For every page: forms that say they are at work, and times that stay true while the page is open.

const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });

export function freshen(root = document) {
  for (const time of root.querySelectorAll("time[data-relative]")) {
    const at = new Date(time.dateTime);
    const seconds = (Date.now() - at) / 1000;
    time.title = at.toLocaleString(document.documentElement.lang);
    const [unit, length] = units.find(([, size]) => seconds >= size) ?? units[3];
    // Below ten seconds the server's own words stand.
    if (seconds >= 10) time.textContent = relative.format(-Math.floor(seconds / length), unit);
  }
}

freshen();
setInterval(freshen, 10_000);

for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    button.disabled = true;
    button.dataset.label = button.textContent;
    button.textContent = form.dataset.busy;
  });
}

// A page that comes back from the browser's memory is ready for use again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("button[data-label]")) {
    button.disabled = false;
    button.textContent = button.dataset.label;
  }
});
