// Asks the status endpoint again and again, and goes on when the server was away for a moment.

const HIDDEN_SECONDS = 15; // between two questions while nobody looks at the tab
const LONGEST_WAIT = 10; // seconds between two tries while the server is away
const PATIENCE = 10; // seconds for one answer

/**
 * Call `show` with the endpoint's answer, at once and then again and again.
 *
 * `show` returns after how many seconds to ask again; 0 ends the polling.
 * `lost` is told how many tries in a row have failed: 0 when the connection is back. `refused`
 * is called once, and the polling ends, when the server answers that this reader may not ask.
 */
export function poll({ url, show, lost, refused }) {
  let timer = null;
  let seconds = 1;
  let asking = false;
  let failures = 0;
  let over = false;

  const wait = () => {
    if (failures) return Math.min(seconds * 2 ** (failures - 1), LONGEST_WAIT);
    return document.hidden ? Math.max(seconds, HIDDEN_SECONDS) : seconds;
  };

  const again = () => {
    clearTimeout(timer);
    if (!over) timer = setTimeout(ask, wait() * 1000);
  };

  const finish = () => {
    over = true;
    clearTimeout(timer);
  };

  const ask = async () => {
    if (asking || over) return;
    asking = true;
    try {
      const answer = await fetch(url, {
        cache: "no-store",
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(PATIENCE * 1000),
      });
      if (answer.redirected || [401, 403, 404].includes(answer.status)) {
        finish();
        refused();
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const said = await answer.json();
      if (failures) lost(0);
      failures = 0;
      seconds = show(said);
      if (!seconds) finish();
    } catch {
      // Away, restarting, or too slow: all of it passes, and the next answer is whole again.
      failures += 1;
      lost(failures);
    } finally {
      asking = false;
      again();
    }
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask();
  });
  window.addEventListener("online", ask);
  ask();
}

/** Say in `element` that the session is over, with a link through the sign-in back to here. */
export function saySignedOut(element) {
  const link = document.createElement("a");
  link.href = location.pathname + location.search;
  link.textContent = "Sign in again";
  element.replaceChildren("You were signed out. ", link, ".");
}
