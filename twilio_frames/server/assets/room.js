// One call, live: heard, read, whispered to, put through, ended.

import { Hearing } from "./hearing.js";
import { ask } from "./key.js";
import { Strip } from "./strip.js";
import { showNow, showTalk } from "./talk_view.js";

const byId = (id) => document.getElementById(id);
const NAMES = { caller: "Caller", bot: "Bot" };
const DONE = { whisper: "The bot knows", hang_up: "The call was ended" };
const PUT_THROUGH = new Set(["take_over", "transfer"]);

const strip = new Strip(byId("strip"));
let talk = showTalk(byId("talk"), NAMES);

export class Room {
  // Must be made where somebody has just pressed a button: it is to be heard.
  constructor(sid) {
    this.sid = sid;
    this.at = 0;
    this.levels = [0, 0];
    this.isOpen = this.isOver = false;
    this.hearing = new Hearing();
    this.hearing.onBlock = (seconds) => {
      const [caller, bot] = this.levels;
      strip.note(seconds, { caller, bot, isHeld: talk.isHeld });
      this.levels = [caller / 2, bot / 2];
    };
    talk = showTalk(byId("talk"), NAMES);
    strip.clear();
    this.show(false);
    byId("no-words").hidden = true;
    byId("sound").setAttribute("aria-pressed", "false");
  }

  // How the call stands, by what the server tells of all of them.
  async follow(call, words) {
    byId("hang-up").disabled = call.state === "over";
    if (this.isOver) return;
    if (call.state === "over") this.over(`The call is over: ${words}`);
    else if (call.state === "coming") state(`The call ${words}`);
    else if (!this.isOpen) await this.open();
  }

  async open() {
    this.isOpen = true;
    state("Connecting…");
    try {
      const [{ ticket }] = await Promise.all([ask(`calls/${this.sid}/listen`, { method: "POST" }), this.hearing.open()]);
      if (!this.isOver) this.connect(ticket);
    } catch (error) {
      if (!this.isOver) this.over(error.message);
    }
  }

  connect(ticket) {
    const url = new URL(`calls/${this.sid}/listen?ticket=${encodeURIComponent(ticket)}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => typeof data === "string" ? this.told(JSON.parse(data)) : this.heard(data);
    this.socket.onclose = () => this.over("The connection is lost");
  }

  heard(data) {
    const view = new DataView(data);
    const who = view.getUint8(0);
    this.at = view.getUint32(1) / 1000;
    this.levels[who] = Math.max(this.levels[who], this.hearing.play(who, new Uint8Array(data, 5)));
  }

  told(event) {
    switch (event.event) {
      case "start":
        byId("no-words").hidden = event.words;
        state("You hear both sides");
        break;
      case "log": talk.add(event.line); break;
      case "answer": talk.answered(event.seconds); break;
      case "lost": talk.note(this.at, `${event.count} pieces of audio were lost on the way`, true); break;
      case "done": talk.note(this.at, outcome(event) ?? DONE[event.do] ?? "Done"); break;
      case "refused": talk.note(this.at, event.why, true); break;
      case "end": this.over(`The call is over${event.reason ? `: ${event.reason}` : ""}`); break;
    }
    if (!this.isOver) this.show(true);
  }

  show(isUp) {
    showNow(talk, { isUp, caller: talk.callerSpeaks ? "speaks" : "is silent" });
    for (const control of document.querySelectorAll("[data-needs-up]")) control.disabled = !isUp;
  }

  order(order) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(order));
  }

  whisper(text) {
    if (text) this.order({ do: "whisper", text });
  }

  putThrough(how, to) {
    if (!to) return;
    this.order({ do: how, to });
    talk.note(this.at, "That telephone is being called…");
  }

  mute(isMuted) {
    this.hearing.mute(isMuted);
  }

  over(text) {
    if (this.isOver) return;
    state(text);
    talk.end();
    this.show(false);
    this.leave();
  }

  leave() {
    this.isOver = true;
    if (this.socket) this.socket.onclose = this.socket.onmessage = null;
    this.socket?.close();
    this.hearing.close();
  }
}

function outcome(event) {
  if (!PUT_THROUGH.has(event.do)) return null;
  const back = event.caller_is_back ? "; the caller is with the bot" : "";
  return event.outcome === "answered" ? "The caller is put through" : `Nobody took it: ${event.outcome}${back}`;
}

function state(text) {
  if (byId("state").textContent !== text) byId("state").textContent = text;
}
