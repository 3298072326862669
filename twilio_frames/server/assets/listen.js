// The listening room: the calls that are up, and one of them heard, read, whispered to, taken over.

import { Hearing } from "./hearing.js";
import { Strip } from "./strip.js";
import { clock, showNow, showTalk } from "./talk_view.js";

const byId = (id) => document.getElementById(id);
const LOOK_EVERY = 2000;
const NAMES = { caller: "Caller", bot: "Bot" };
const DONE = { whisper: "The bot knows", hang_up: "The call was ended" };

const strip = new Strip(byId("strip"));
let room = null;
let talk = showTalk(byId("talk"), NAMES);

function headers() {
  const key = byId("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

// Asks the server; throws an Error that says what is wrong.
async function ask(path, method = "GET") {
  let answer;
  try {
    answer = await fetch(path, { method, headers: headers() });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) byId("key-field").hidden = false;
  if (!answer.ok) throw new Error(told.error ?? `The server answered ${answer.status}.`);
  return told;
}

function complain(text) {
  byId("trouble").hidden = !text;
  byId("trouble").textContent = text;
}

// What a server with hundreds of calls shows of those that are over.
const MOST_PAST = 50;
// From so many on, one looks for a call rather than at all of them.
const MANY = 8;

function showCalls(calls) {
  const all = calls.filter((call) => call.stream === "up");
  const wanted = byId("filter").value.trim().toLowerCase();
  const up = wanted ? all.filter((call) => call.call_sid.toLowerCase().includes(wanted)) : all;
  byId("filter-field").hidden = all.length < MANY && !wanted;
  byId("none").hidden = all.length > 0;
  const buttons = new Map([...byId("calls").querySelectorAll("button")].map((one) => [one.dataset.sid, one]));
  const now = Date.now() / 1000;
  const items = up.map((call) => {
    // The same button in the same place, so that it keeps the focus.
    const button = buttons.get(call.call_sid) ?? callButton(call.call_sid);
    button.setAttribute("aria-current", String(room?.sid === call.call_sid));
    const length = `for ${clock(now - call.began_at)}`;
    const small = button.querySelector("small");
    if (small.textContent !== length) small.textContent = length;
    return button.parentElement;
  });
  const list = byId("calls");
  if (items.length !== list.children.length || items.some((item, index) => item !== list.children[index])) list.replaceChildren(...items);
  showPast(calls.filter((call) => call.stream === "ended" || call.stream === "failed"));
}

function callButton(sid) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.sid = sid;
  button.append(`…${sid.slice(-8)}`, document.createElement("small"));
  button.addEventListener("click", () => enter(sid));
  document.createElement("li").append(button);
  return button;
}

function showPast(calls) {
  byId("past").hidden = !calls.length;
  if (!byId("past").open) return;
  byId("past-calls").replaceChildren(...calls.slice(0, MOST_PAST).map((call) =>
    item(`…${call.call_sid.slice(-8)}`, `${new Date(1000 * call.began_at).toLocaleTimeString()}, ${call.end_reason ?? call.status ?? "over"}`, call.stream === "failed")));
}

function item(name, text, isBad) {
  const made = document.createElement("li");
  const small = document.createElement("small");
  made.className = isBad ? "bad" : "";
  small.textContent = text;
  made.append(name, small);
  return made;
}

// How the vendors do; a server tells that on its own machine alone.
async function lookAtVendors() {
  const { vendors = [] } = await ask("healthz").catch(() => ({}));
  byId("vendors").hidden = !vendors.length;
  const failing = vendors.filter((vendor) => vendor.state !== "well").length;
  byId("vendors").querySelector("summary").textContent = failing ? `Vendors: ${failing} of ${vendors.length} failing` : "Vendors: all well";
  byId("vendor-list").replaceChildren(...vendors.map((vendor) => {
    const first = vendor.first_byte_p50 === null ? "" : `, first byte after ${vendor.first_byte_p50.toFixed(2)} s`;
    return item(`${vendor.role}: ${vendor.vendor}`, `${vendor.state}${first}${vendor.last_failure ? `, last failure: ${vendor.last_failure}` : ""}`, vendor.state !== "well");
  }));
}

async function look() {
  try {
    showCalls((await ask("calls")).calls);
    await lookAtVendors();
    complain("");
  } catch (error) {
    complain(error.message);
  }
  setTimeout(look, LOOK_EVERY);
}

class Room {
  constructor(sid) {
    this.sid = sid;
    this.at = 0;
    this.levels = [0, 0];
    this.hearing = new Hearing();
    this.hearing.onBlock = (seconds) => {
      const [caller, bot] = this.levels;
      strip.note(seconds, { caller, bot, isHeld: talk.isHeld });
      this.levels = [caller / 2, bot / 2];
    };
  }

  async open() {
    const [{ ticket }] = await Promise.all([ask(`calls/${this.sid}/listen`, "POST"), this.hearing.open()]);
    const url = new URL(`calls/${this.sid}/listen?ticket=${encodeURIComponent(ticket)}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => typeof data === "string" ? this.told(JSON.parse(data)) : this.heard(data);
    this.socket.onclose = () => { if (room === this) this.over("The connection is lost"); };
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
      case "done": talk.note(this.at, taken(event) ?? DONE[event.do] ?? "Done"); break;
      case "refused": talk.note(this.at, event.why, true); break;
      case "end": this.over(`The call is over${event.reason ? `: ${event.reason}` : ""}`); break;
    }
    if (room === this) show(true);
  }

  order(order) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(order));
  }

  over(text) {
    state(text);
    talk.end();
    show(false);
    for (const control of document.querySelectorAll("#room input, #room button:not(#leave)")) control.disabled = true;
    this.leave();
  }

  leave() {
    if (this.socket) this.socket.onclose = null;
    this.socket?.close();
    this.hearing.close();
  }
}

function taken(event) {
  if (event.do !== "take_over") return null;
  const back = event.caller_is_back ? "; the caller is with the bot" : "";
  return event.outcome === "answered" ? "The caller is put through" : `Nobody took it: ${event.outcome}${back}`;
}

function state(text) {
  byId("state").textContent = text;
}

function show(isUp) {
  showNow(talk, { isUp, caller: talk.callerSpeaks ? "speaks" : "is silent" });
}

async function enter(sid) {
  leave();
  const mine = room = new Room(sid);
  byId("room").hidden = false;
  byId("title").textContent = `Call …${sid.slice(-8)}`;
  talk = showTalk(byId("talk"), NAMES);
  strip.clear();
  show(false);
  byId("sound").setAttribute("aria-pressed", "false");
  for (const control of document.querySelectorAll("#room input, #room button")) control.disabled = false;
  state("Connecting…");
  try {
    await mine.open();
  } catch (error) {
    if (room === mine) mine.over(error.message);
  }
  if (room !== mine) mine.leave();
}

function leave() {
  const left = room;
  room = null;
  left?.leave();
  byId("room").hidden = true;
  byId("title").textContent = "Calls that are up";
}

byId("leave").addEventListener("click", leave);
byId("sound").addEventListener("click", ({ target }) => {
  const isMuted = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", String(isMuted));
  room?.hearing.mute(isMuted);
});
byId("whisper-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("whisper").value.trim();
  if (text) room?.order({ do: "whisper", text });
  byId("whisper").value = "";
});
byId("take-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const to = byId("take").value.trim();
  if (to) room?.order({ do: "take_over", to });
  if (to) talk.note(room?.at ?? 0, "That telephone is being called…");
});
byId("hang-up").addEventListener("click", () => {
  if (confirm("End this call for its caller?")) room?.order({ do: "hang_up" });
});

// A link may bring the dial key, which the address bar need not keep.
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1));
  const key = given.get("key");
  // A link to one call shows it alone; hearing it takes the press of a button.
  if (given.has("call")) byId("filter").value = given.get("call");
  if (key) {
    sessionStorage.setItem("key", key);
    history.replaceState(null, "", location.pathname);
  }
  byId("key").value = sessionStorage.getItem("key") ?? "";
  byId("key-field").hidden = document.body.dataset.needsKey !== "true" || byId("key").value !== "";
}

byId("softphone").hidden = document.body.dataset.hasSoftphone !== "true";
addEventListener("hashchange", takeKey);
takeKey();
byId("key").addEventListener("change", () => sessionStorage.setItem("key", byId("key").value.trim()));
look();
