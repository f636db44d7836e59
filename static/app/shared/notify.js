// A notification by the browser when the work is over, for who asked for one.

/** Offer `button` where the browser can notify; what is returned tells the asker. */
export function notifier(button) {
  let asked = false;

  button.hidden = !("Notification" in window) || Notification.permission === "denied";
  button.addEventListener("click", async () => {
    asked = !asked && (await Notification.requestPermission()) === "granted";
    button.setAttribute("aria-pressed", asked);
    button.classList.toggle("active", asked);
    button.hidden = Notification.permission === "denied";
  });

  return (words) => {
    // Never hide what has the keyboard's focus: it would be lost.
    if (button !== document.activeElement) button.hidden = true;
    if (!asked) return;
    asked = false;
    try {
      new Notification("ICON", { body: words, tag: "icon-progress" });
    } catch {
      // Chrome on Android knows the class and refuses to make one; the page says it, too.
    }
  };
}
