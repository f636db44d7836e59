// One of the things that can be drawn over a picture, as somebody chooses it: it is loaded, and what
// keeps it from that is said.
import { noteOf } from "./list.js";
import { BrokenOff, Refused, whyNot } from "./records.js";

export class Choice {
  // `box` is what templates/viewing/_over_choice.html makes. `source` has clear(), which is called
  // before another is loaded, load(chosen, signal), which gives what is loaded, and show(loaded).
  constructor(box, source) {
    this.box = box;
    this.source = source;
    this.all = [];
    this.abort = null; // what is loading
    this.part("chosen").addEventListener("change", () => this.choose(this.value));
    this.part("again").addEventListener("click", () => this.choose(this.value));
  }

  part(name) {
    return this.box.querySelector(`[data-over=${name}]`);
  }

  get value() {
    return this.part("chosen").value;
  }

  // `groups`: [label ("" for none), all: {object, words} of each]. What is chosen stays.
  offer(...groups) {
    const { value } = this;
    this.all = groups.flatMap(([, all]) => all);
    this.part("choice").hidden = !this.all.length;
    const options = groups.filter(([, all]) => all.length).flatMap(([label, all]) => {
      const made = all.map(({ object, words }) => new Option(words, object));
      if (!label) return made;
      const group = Object.assign(document.createElement("optgroup"), { label });
      group.append(...made);
      return [group];
    });
    this.part("chosen").replaceChildren(new Option("None", ""), ...options);
    this.part("chosen").value = value;
  }

  say(sentence, isPassing = false) {
    const said = this.part("said");
    if (said.textContent !== sentence) said.textContent = sentence;
    this.part("again").hidden = !isPassing;
    this.part("saying").hidden = !sentence;
  }

  // Of all of it, what is not drawn.
  note(sentences) {
    this.part("general").replaceChildren(...sentences.map(noteOf));
    this.part("general").hidden = !sentences.length;
  }

  choose(object) {
    this.part("chosen").value = object;
    this.abort?.abort();
    this.say("");
    this.note([]);
    this.source.clear();
    const chosen = this.all.find((one) => String(one.object) === object);
    if (chosen) void this.load(chosen);
  }

  async load(chosen) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.say(`Loading ${chosen.words} …`);
    try {
      const loaded = await this.source.load(chosen, signal);
      if (signal.aborted) return;
      this.say("");
      this.source.show(loaded);
    } catch (error) {
      if (signal.aborted) return;
      this.say(whyNot(error), error instanceof TypeError || error instanceof BrokenOff);
      if (!(error instanceof Refused || error instanceof TypeError)) throw error;
    }
  }
}
