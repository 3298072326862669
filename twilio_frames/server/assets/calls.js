// The calls that a server has told of, by what it says has changed. Draws nothing.

// So many of those that are over are kept.
const MOST_PAST = 1000;

export const nameOf = (call) => (call.direction?.startsWith("outbound") ? call.to : call.from) || `…${call.call_sid.slice(-8)}`;

const STATES = { queued: "waits for a free line", initiated: "is dialed", ringing: "rings", "in-progress": "is answered" };

// How a call stands, in words.
export function stateOf(call) {
  const who = call.answered_by ? `, ${call.answered_by.replaceAll("_", " ")}` : "";
  if (call.state === "up") return `${call.direction?.startsWith("outbound") ? "outbound" : "inbound"}${who}${call.listeners ? `, ${call.listeners} listening` : ""}`;
  if (call.state === "coming") return STATES[call.status] ?? "is to come";
  return `${call.end_reason ?? call.status ?? "over"}${who}`;
}

// Whether the call is one that somebody looks for: all words have to be in it.
export function matches(call, wanted) {
  const text = [call.call_sid, call.from, call.to, call.status, stateOf(call)].join(" ").toLowerCase();
  const digits = text.replace(/[^0-9]/g, "");
  return wanted.toLowerCase().split(/\s+/).every((word) => text.includes(word) || (/^\+?[\d().-]{3,}$/.test(word) && digits.includes(word.replace(/[^0-9]/g, ""))));
}

export class CallBook {
  constructor() {
    this.calls = new Map();
    // What the server told last, for the next question.
    this.since = "";
  }

  // Takes what a server tells; gives the calls that are new or have changed, and the sids that are gone.
  take(news) {
    this.since = news.since;
    const gone = [];
    for (const [sid, call] of this.calls) if (call.worker && !(call.worker in news.workers)) gone.push(sid);
    for (const sid of gone) this.calls.delete(sid);
    const changed = [];
    for (const call of news.calls) {
      if (!this.isNewer(call)) continue;
      this.calls.set(call.call_sid, call);
      changed.push(call);
    }
    gone.push(...this.forgetOld());
    return { changed, gone };
  }

  // A call that one worker has taken over from another stands in both; the one that has it now counts.
  isNewer(call) {
    const known = this.calls.get(call.call_sid);
    return !known?.worker || known.worker === call.worker || known.state !== "up" || call.state === "up";
  }

  // Calls of a log folder, of before this server's time: they change nothing of what is known.
  add(calls) {
    const added = calls.filter((call) => !this.calls.has(call.call_sid));
    for (const call of added) this.calls.set(call.call_sid, call);
    return added;
  }

  forgetOld() {
    const past = this.past();
    const old = past.slice(MOST_PAST).map((call) => call.call_sid);
    for (const sid of old) this.calls.delete(sid);
    return old;
  }

  count(state) {
    let found = 0;
    for (const call of this.calls.values()) found += call.state === state;
    return found;
  }

  // Those that are over, the newest first.
  past() {
    return [...this.calls.values()].filter((call) => call.state === "over").sort((a, b) => b.began_at - a.began_at);
  }
}
