// Answers of the server on what is drawn over pictures, and the records that some are made of:
// `app/viewing/pictures.py` says how.
const AGAIN = 2_000; // ms, where others use all that look into objects
const LONGEST = 128 << 20; // bytes of a record's words, or of its values

// What is not to be had; its message is a sentence for who asked for it.
export class Refused extends Error {}

// An answer that was cut off: it may be had when it is asked for again.
export class BrokenOff extends Refused {
  message = "The connection broke off.";
}

// Whether it is said that so many of all have come: ten times, since it is read out.
export const isTold = (count, all) => count % Math.ceil(all / 10) === 0;

// What is said of an error that ended a loading.
export function whyNot(error) {
  if (error instanceof Refused) return error.message;
  if (error instanceof TypeError) return new BrokenOff().message;
  return "Something went wrong: reload the page.";
}

// An answer; where the server is busy it is asked again, until `signal` is aborted.
export async function answerOf(url, signal = null) {
  for (;;) {
    const response = await fetch(url, { signal });
    if (response.status !== 503) {
      if (response.ok && !response.redirected) return response;
      throw new Refused(await refusalOf(response));
    }
    await pause(signal);
  }
}

const REFUSALS = {
  401: "Sign in again: reload the page.",
  403: "You may not see this.",
  409: "The series has changed: reload the page.",
};

// A sentence of the server is told as it is.
async function refusalOf(response) {
  const { status } = response;
  if (response.redirected) return REFUSALS[401]; // to where one signs in
  const isSentence = status >= 400 && status < 500 && response.headers.get("Content-Type")?.startsWith("text/plain");
  return REFUSALS[status] ?? ((isSentence && (await response.text())) || "It is not to be had: reload the page.");
}

function pause(signal) {
  return new Promise((go, stop) => {
    const timer = setTimeout(go, AGAIN);
    signal?.addEventListener("abort", () => (clearTimeout(timer), stop(signal.reason)), { once: true });
  });
}

// Each record of an answer: {told, packed}. One that is cut off is left out.
export async function* recordsOf(response) {
  const pieces = new Pieces(response.body.getReader());
  for (;;) {
    const head = await pieces.read(8);
    if (!head) return;
    const lengths = new DataView(head.buffer);
    const [words, values] = [lengths.getUint32(0, true), lengths.getUint32(4, true)];
    if (Math.max(words, values) > LONGEST) return;
    const text = await pieces.read(words);
    const packed = text && (await pieces.read(values));
    if (!packed) return;
    yield { told: JSON.parse(new TextDecoder().decode(text)), packed };
  }
}

// Gives each of an object's frames, from a first to a last, to `take`; an answer that was cut off is
// asked for again from there on.
export async function everyFrame(url, [from, last], signal, take) {
  for (let next = from; next <= last; ) {
    const first = next;
    const response = await answerOf(`${url}?from=${first}&first=${first}&last=${last}`, signal);
    for await (const { told, packed } of recordsOf(response)) {
      if (told.all_sent) return;
      await take(told, packed);
      next = told.slice + 1;
    }
    if (next === first) throw new BrokenOff();
  }
}

// A stream, read in pieces of so many bytes; null where it ends before.
class Pieces {
  constructor(reader) {
    this.reader = reader;
    this.parts = [];
    this.held = 0;
  }

  async read(length) {
    while (this.held < length) {
      const { done, value } = await this.reader.read();
      if (done) return null;
      this.parts.push(value);
      this.held += value.length;
    }
    this.held -= length;
    const found = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const part = this.parts[0].subarray(0, length - at);
      found.set(part, at);
      at += part.length;
      if (part.length === this.parts[0].length) this.parts.shift();
      else this.parts[0] = this.parts[0].subarray(part.length);
    }
    return found;
  }
}
