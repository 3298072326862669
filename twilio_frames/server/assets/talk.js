// What was said on a call, put together from the lines of its log as they come: who speaks, which of
// the bot's words were heard, which an interruption kept from being heard. Draws nothing.

const words = (text) => text.split(/\s+/).filter(Boolean);

export class Talk {
  constructor() {
    this.entries = [];
    this.byContext = new Map();
    this.answers = [];
    this.interruptions = 0;
    this.falseAlarms = 0;
    this.callerSpeaks = false;
    this.botSpeaks = false;
    this.isHeld = false;
    this.thinks = false;
    this.pendingAnswer = null;
    // Called with each entry that is new or has changed.
    this.changed = () => {};
  }

  // Takes a line of the log; its time is in seconds from the answer.
  add(line) {
    const take = TAKERS[line.kind];
    if (take) take(this, line);
  }

  // The bot's answer began to be heard.
  answered(seconds) {
    this.answers.push(seconds);
    this.pendingAnswer = seconds;
    const entry = this.entries.findLast((each) => each.who === "bot");
    if (entry && !entry.isHeard && !entry.isCut) this.credit(entry);
  }

  // The median of the answers' times; null before the first.
  get median() {
    if (!this.answers.length) return null;
    const sorted = [...this.answers].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  append(entry) {
    this.entries.push(entry);
    this.changed(entry);
    return entry;
  }

  note(at, text, isBad = false) {
    return this.append({ who: "note", at, text, isBad });
  }

  bot(line) {
    const known = this.byContext.get(line.context);
    if (known && line.context !== null) return known;
    const entry = this.append({ who: "bot", at: line.t, words: [], heard: 0, isHeard: false, isCut: false, isHeld: false });
    this.byContext.set(line.context, entry);
    return entry;
  }

  said(line) {
    const entry = this.bot(line);
    entry.words.push(...(line.text ? words(line.text) : Array(line.words || 0).fill("…")));
    this.changed(entry);
  }

  // A word was heard to its end. What a model speaks of itself has no text but this.
  heard(line) {
    const entry = this.bot(line);
    if (!entry.isHeard) {
      entry.at = line.t;
      entry.isHeard = true;
      if (this.pendingAnswer !== null) this.credit(entry);
    }
    const count = Math.max(1, line.words || 0);
    const missing = entry.heard + count - entry.words.length;
    if (missing > 0) entry.words.push(...words(line.text || "…").slice(-missing));
    entry.heard = Math.min(entry.heard + count, entry.words.length);
    this.changed(entry);
  }

  credit(entry) {
    entry.answer = this.pendingAnswer;
    this.pendingAnswer = null;
    this.changed(entry);
  }

  get unfinished() {
    return this.entries.filter((each) => each.who === "bot" && each.heard < each.words.length && !each.isCut);
  }

  hold() {
    this.isHeld = true;
    const entry = this.unfinished.findLast((each) => each.isHeard);
    if (entry) {
      entry.isHeld = true;
      this.changed(entry);
    }
  }

  release() {
    this.isHeld = false;
    for (const entry of this.entries.filter((each) => each.isHeld)) {
      entry.isHeld = false;
      this.changed(entry);
    }
  }

  resume() {
    if (!this.isHeld) return;
    this.release();
    this.falseAlarms += 1;
    const sound = this.entries.findLast((each) => each.who === "caller");
    if (sound && !sound.text) {
      sound.isSound = true;
      this.changed(sound);
    }
  }

  interrupt() {
    const cut = this.unfinished;
    if (cut.some((each) => each.isHeard)) this.interruptions += 1;
    this.release();
    for (const entry of cut) {
      entry.isCut = true;
      this.changed(entry);
    }
  }

  // The call is over: what was not heard by now never is, and nobody interrupted it.
  end() {
    this.release();
    this.callerSpeaks = this.botSpeaks = this.thinks = false;
    for (const entry of this.unfinished) {
      entry.isCut = entry.isOver = true;
      this.changed(entry);
    }
    for (const entry of this.entries.filter((each) => each.isSpeaking)) {
      entry.isSpeaking = false;
      this.changed(entry);
    }
  }

  callerBegins(line) {
    this.callerSpeaks = true;
    const last = this.entries.findLast((each) => each.who === "caller");
    if (last && !last.text && !last.isKey) {
      last.isSpeaking = true;
      this.changed(last);
      return;
    }
    const overBot = this.botSpeaks;
    this.append({ who: "caller", at: Math.max(0, line.t - (line.after || 0)), text: "", isSpeaking: true, overBot });
  }

  callerEnds() {
    this.callerSpeaks = false;
    const entry = this.entries.findLast((each) => each.isSpeaking);
    if (entry) {
      entry.isSpeaking = false;
      this.changed(entry);
    }
  }

  // Words come behind the voice; several lots of them may belong to one.
  transcribed(line, isBackchannel = false) {
    const text = line.text ?? "…".repeat(line.words || 1);
    const open = this.entries.findLast((each) => each.who === "caller" && !each.isKey);
    const isNew = !open || (open.text && this.entries.indexOf(open) < this.entries.length - 1 && !open.isSpeaking);
    const entry = isNew ? this.append({ who: "caller", at: line.t, text: "" }) : open;
    entry.text = [entry.text, text].filter(Boolean).join(" ");
    if (entry.isSound && !isBackchannel) {
      // It was no false alarm: the words came late.
      entry.isSound = false;
      this.falseAlarms -= 1;
    }
    entry.isBackchannel = isBackchannel;
    this.changed(entry);
  }
}

const TAKERS = {
  said: (talk, line) => talk.said(line),
  word: (talk, line) => talk.heard(line),
  transcript: (talk, line) => talk.transcribed(line),
  backchannel: (talk, line) => talk.transcribed(line, true),
  vad_started: (talk, line) => talk.callerBegins(line),
  vad_stopped: (talk) => talk.callerEnds(),
  bot_started: (talk) => { talk.botSpeaks = true; talk.thinks = false; },
  bot_stopped: (talk) => { talk.botSpeaks = false; },
  llm_started: (talk) => { talk.thinks = true; },
  llm_stopped: (talk) => { talk.thinks = false; },
  held: (talk) => talk.hold(),
  resumed: (talk) => talk.resume(),
  interrupted: (talk) => talk.interrupt(),
  digit: (talk, line) => talk.append({ who: "caller", at: line.t, text: `key ${line.digit ?? ""}`.trim(), isKey: true }),
  function_started: (talk, line) => talk.note(line.t, `function ${line.name}`),
  function_ended: (talk, line) => { if (line.failed) talk.note(line.t, `function ${line.name} failed`, true); },
  error: (talk, line) => talk.note(line.t, `error of ${line.processor ?? "the pipeline"}: ${line.exception ?? line.category ?? "see the server's log"}`, true),
  switched: (talk, line) => talk.note(line.t, `${line.role}: ${line.successor ?? "nobody"} in the place of ${line.vendor}`),
  away: (talk, line) => talk.note(line.t, `the call leaves the bot: ${(line.for || []).join(", ")}`),
  back: (talk, line) => talk.note(line.t, "the call is back"),
  underrun: (talk, line) => talk.note(line.t, `a hole of ${line.seconds} s in what the bot said`, true),
};
