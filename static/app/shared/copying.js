// Buttons that copy a text, and say so to who does not see them.
const SHOWN = 2000; // milliseconds for which a button says that it has copied

const status = document.createElement("p");
status.className = "visually-hidden";
status.setAttribute("role", "status");
document.body.append(status);

/** A button that copies what `text` returns, of what is called `name`. */
export function copyButton(name, text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy bi bi-copy";
  button.title = "Copy";
  button.setAttribute("aria-label", `Copy ${name}`);
  button.addEventListener("click", async () => {
    const isCopied = await copy(text());
    status.textContent = isCopied ? `Copied ${name}` : `${name} could not be copied`;
    button.classList.replace("bi-copy", isCopied ? "bi-check2" : "bi-x-lg");
    setTimeout(() => {
      button.classList.remove("bi-check2", "bi-x-lg");
      button.classList.add("bi-copy");
      status.textContent = "";
    }, SHOWN);
  });
  return button;
}

// A browser lends its clipboard to pages over HTTPS, and of this machine; on others what is selected
// can be copied.
async function copy(text) {
  if (!navigator.clipboard) return copySelected(text);
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text); // it was refused
  }
}

function copySelected(text) {
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.focus({ preventScroll: true });
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  before?.focus({ preventScroll: true });
  return isCopied;
}
