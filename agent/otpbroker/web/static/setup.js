// The QR code's address holds the setup code behind `#`, which browsers never send: move it into the form.

const form = document.querySelector("form[data-setup-code]");
const code = decodeURIComponent(location.hash.slice(1));
if (form && code) {
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.code.value = code;
  form.requestSubmit();
}
