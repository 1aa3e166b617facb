// Counts as the codec does: septets of the GSM 7 bit alphabet (3GPP TS 23.038), else UTF-16 units.

const message = document.getElementById("message");
const size = document.getElementById("message-size");
const { basic, extension, maxParts } = message.dataset;

function measure(text) {
  const plain = new Set(basic + "\n\r");
  const escaped = new Set(extension);
  const signs = [...text];
  const gsm7 = signs.every((sign) => plain.has(sign) || escaped.has(sign));
  const costs = signs.map((sign) => (gsm7 ? (escaped.has(sign) ? 2 : 1) : sign.length));
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  const [single, part] = gsm7 ? [160, 153] : [70, 67];
  let parts = 1;
  if (total > single) {
    // An escape pair or a surrogate pair is never cut.
    let used = 0;
    for (const cost of costs) {
      if (used + cost > part) {
        parts += 1;
        used = 0;
      }
      used += cost;
    }
  }
  return { characters: signs.length, parts, alphabet: gsm7 ? "GSM-7" : "Unicode" };
}

message.addEventListener("input", () => {
  const measured = measure(message.value);
  const tooLong = measured.parts > Number(maxParts);
  const words = tooLong ? size.dataset.tooLong : measured.parts > 1 ? size.dataset.many : size.dataset.one;
  const values = { ...measured, most: maxParts };
  size.textContent = message.value ? words.replace(/\{(\w+)\}/g, (_, name) => values[name]) : "\u00a0";
  size.parentElement.classList.toggle("wrong", tooLong);
  message.setCustomValidity(tooLong ? size.textContent : "");
});
