// The form that places a call: help with the number, all options, and how the call goes.

import { ask } from "./key.js";
import { helpWithNumber } from "./number.js";

const byId = (id) => document.getElementById(id);
const LOOK_EVERY = 1000;
const MOST_MISSES = 5;
const WORDS = {
  queued: "Waiting for a free line…", initiated: "Dialing…", ringing: "The phone is ringing…",
  "in-progress": "The bot is talking with them", completed: "The call has ended",
  busy: "The line was busy", failed: "The call could not be completed",
  "no-answer": "Nobody answered", canceled: "The call was canceled",
};
const GOOD_END = "completed";
const BAD_ENDS = new Set(["busy", "failed", "no-answer", "canceled"]);

function show(kind, headline, detail = []) {
  const result = byId("result");
  result.hidden = false;
  result.className = kind;
  if (byId("headline").textContent !== headline) byId("headline").textContent = headline;
  byId("detail").replaceChildren(...detail);
}

function link(address, text) {
  const made = document.createElement("a");
  made.href = address;
  made.textContent = text;
  return made;
}

function fail(headline, reason, code) {
  const why = Number.isInteger(code) ? link(`https://www.twilio.com/docs/api/errors/${code}`, `Twilio error ${code}`) : null;
  if (why) why.rel = "noreferrer";
  show("bad", headline, [reason, ...(why ? [why] : [])]);
}

function callLine(sid, isTalking) {
  const code = document.createElement("code");
  code.textContent = sid;
  return ["Call ", code, ...(isTalking ? [link(`console#call=${encodeURIComponent(sid)}`, "Listen in")] : [])];
}

// What a field holds, in the form that the server takes; undefined where it is left as it is.
const READ = {
  ring_secs: Number, time_limit: Number, detection_secs: Number,
  caller_id: String, machine_detection: String, detection_callback: String,
  record: String, record_callback: String, status_callback: String,
  parameters: (text) => Object.fromEntries(text.split("\n").filter((line) => line.trim()).map((line) => {
    const [name, ...rest] = line.split("=");
    return [name.trim(), rest.join("=").trim()];
  })),
};

// The options that are chosen; what shows only beside another counts only with it.
function options() {
  const chosen = {};
  for (const [name, read] of Object.entries(READ)) {
    const value = byId(name).value.trim();
    if (value && !byId(name).closest("[hidden]")) chosen[name] = read(value);
  }
  if (chosen.machine_detection && byId("async_detection").checked) chosen.async_detection = true;
  else delete chosen.detection_callback;
  const boxes = [...byId("status_events").querySelectorAll("input")];
  if (chosen.status_callback && boxes.some((box) => !box.checked)) {
    chosen.status_events = boxes.filter((box) => box.checked).map((box) => box.value);
  }
  return chosen;
}

function showWhatBelongs() {
  byId("detection").hidden = !byId("machine_detection").value;
  byId("detection_callback").closest(".field").hidden = !byId("async_detection").checked;
  byId("recording").hidden = !byId("record").value;
  byId("status_events").hidden = !byId("status_callback").value.trim();
}

// The field that an error is about.
function blamed(error) {
  if (error.status === 401) return byId("key");
  if (error.status !== 400) return null;
  const named = [...Object.keys(READ), "async_detection", "status_events"].find((name) => new RegExp(`\\b${name}\\b`).test(error.message));
  return byId(named ?? "to");
}

let latest = 0;
async function follow(sid, mine) {
  for (let misses = 0; misses < MOST_MISSES && mine === latest;) {
    await new Promise((done) => setTimeout(done, LOOK_EVERY));
    try {
      const call = await ask(`calls/${encodeURIComponent(sid)}`);
      if (mine !== latest) return;
      misses = 0;
      const status = call.status || "initiated";
      const isTalking = status === "in-progress";
      const kind = BAD_ENDS.has(status) ? "bad" : status === GOOD_END ? "over" : isTalking ? "talking" : "going";
      show(kind, WORDS[status] ?? status, callLine(sid, isTalking));
      if (kind === "bad" || kind === "over") return;
    } catch {
      misses += 1;
    }
  }
}

async function place(event) {
  event.preventDefault();
  const button = byId("dial-button");
  if (button.disabled) return;
  const mine = ++latest;
  for (const field of byId("dial").querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  button.disabled = true;
  show("going", "Asking Twilio to call…");
  try {
    const { call_sid: sid } = await ask("call", { method: "POST", body: { to: byId("to").value, ...options() } });
    show("going", "Dialing…", callLine(sid, false));
    follow(sid, mine);
  } catch (error) {
    fail("The call was not placed", error.message, error.code);
    const field = blamed(error);
    field?.setAttribute("aria-invalid", "true");
    field?.closest("details")?.setAttribute("open", "");
    field?.focus();
  } finally {
    button.disabled = false;
  }
}

byId("dial").addEventListener("submit", place);
byId("dial").addEventListener("input", showWhatBelongs);
helpWithNumber(byId("to"), byId("to-hint"));
showWhatBelongs();
if (document.body.dataset.canDial !== "true") {
  fail("Calls cannot be placed yet", "The server has no Twilio account to call from: set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER, and start it again.");
  byId("dial-button").disabled = true;
}
