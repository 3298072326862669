// The console: all calls of a server and its fleet, one of them live, and what else there is to know.

import "./dial.js";
import { CallList } from "./call_list.js";
import { CallBook, nameOf, stateOf } from "./calls.js";
import { showCampaigns } from "./campaigns.js";
import { ask, isLoggedIn } from "./key.js";
import { helpWithNumber } from "./number.js";
import { PastCalls, openReport } from "./past.js";
import { Room } from "./room.js";

const byId = (id) => document.getElementById(id);
const LOOK_EVERY = 1000;

const book = new CallBook();
const list = new CallList(byId("calls"), enter);
const past = new PastCalls(book, complain);
let room = null;
// How far the server's clock is ahead of this one, seconds.
let ahead = 0;
// Whether the last look has.
let hasFailed = false;

const now = () => Date.now() / 1000 + ahead;
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };

function complain(text) {
  byId("trouble").hidden = !text;
  setText(byId("trouble"), text);
}

// What the server tells.

function take(news) {
  ahead = news.now - Date.now() / 1000;
  const difference = book.take(news);
  list.update(difference);
  list.tick(now());
  if (difference.changed.length || difference.gone.length) past.show();
  showCampaigns(news.campaigns, now());
  showVendors(news.vendors);
  showSummary(Object.values(news.workers));
  followRoom();
}

function showSummary(workers) {
  const up = book.count("up"), coming = book.count("coming");
  const lines = workers.reduce((sum, worker) => sum + worker.most, 0);
  const ending = workers.filter((worker) => worker.draining).length;
  const parts = [`${up} ${up === 1 ? "call" : "calls"} up`];
  if (coming) parts.push(`${coming} to come`);
  parts.push(`${lines} lines${workers.length > 1 ? ` of ${workers.length} workers` : ""}`);
  if (ending) parts.push(workers.length > 1 ? `${ending} about to stop` : "about to stop: it takes no new calls");
  setText(byId("summary"), parts.join(" · "));
  byId("none").hidden = up + coming > 0;
}

function showVendors(vendors) {
  byId("vendors").hidden = !vendors.length;
  const failing = vendors.filter((vendor) => vendor.state !== "well").length;
  setText(byId("vendors").querySelector("summary"), failing ? `Vendors: ${failing} of ${vendors.length} failing` : "Vendors: all well");
  const shown = JSON.stringify(vendors);
  if (byId("vendor-list").dataset.shown === shown) return;
  byId("vendor-list").dataset.shown = shown;
  byId("vendor-list").replaceChildren(...vendors.map(vendorItem));
}

function vendorItem(vendor) {
  const made = document.createElement("li");
  const small = document.createElement("small");
  const first = vendor.first_byte_p50 === null ? "" : `, first byte after ${vendor.first_byte_p50.toFixed(2)} s`;
  made.className = vendor.state === "well" ? "" : "bad";
  small.textContent = `${vendor.state}${first}${vendor.last_failure ? `, last failure: ${vendor.last_failure}` : ""}`;
  made.append(`${vendor.role}: ${vendor.vendor}`, small);
  return made;
}

async function look() {
  try {
    // Without the key there is nothing to see, and wrong keys are counted.
    if (!isLoggedIn()) {
      setText(byId("summary"), "Give the dial key to see the calls");
      await changeOfKey();
    }
    take(await ask(`console/news?since=${encodeURIComponent(book.since)}`));
    if (hasFailed) complain("");
    hasFailed = false;
  } catch (error) {
    hasFailed = true;
    complain(error.message);
    if (error.status === 401) await changeOfKey();
  }
  unveil();
  setTimeout(look, LOOK_EVERY);
}

const unveil = () => document.querySelector("main").removeAttribute("aria-busy");

function changeOfKey() {
  unveil();
  return new Promise((done) => {
    byId("key").addEventListener("change", done, { once: true });
    addEventListener("hashchange", done, { once: true });
  });
}

// One call.

function enter(sid) {
  leave();
  complain("");
  room = new Room(sid);
  list.mark(sid);
  byId("room").hidden = false;
  byId("no-call").hidden = true;
  byId("report").hidden = document.body.dataset.hasReports !== "true";
  followRoom();
  if (byId("call").getBoundingClientRect().top > innerHeight / 2) byId("call").scrollIntoView();
  byId("call").focus({ preventScroll: true });
}

function followRoom() {
  const call = room && book.calls.get(room.sid);
  if (!call) return;
  const direction = call.direction?.startsWith("outbound") ? "Call to" : "Call of";
  setText(byId("call-heading"), `${direction} ${nameOf(call)}`);
  room.follow(call, stateOf(call));
}

function leave() {
  room?.leave();
  room = null;
  list.mark(null);
  byId("room").hidden = true;
  byId("no-call").hidden = false;
  setText(byId("call-heading"), "No call is chosen");
}

async function hangUp() {
  if (!room || !confirm("End this call for its caller?")) return;
  try {
    await ask(`calls/${encodeURIComponent(room.sid)}`, { method: "DELETE" });
  } catch (error) {
    complain(error.message);
  }
}

byId("leave").addEventListener("click", () => {
  const sid = room?.sid;
  leave();
  byId("calls").querySelector(`[data-sid="${CSS.escape(sid ?? "")}"]`)?.focus();
});
byId("sound").addEventListener("click", ({ target }) => {
  const isMuted = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", String(isMuted));
  room?.mute(isMuted);
});
byId("report").addEventListener("click", () => room && openReport(room.sid, complain));
byId("hang-up").addEventListener("click", hangUp);
byId("whisper-form").addEventListener("submit", (event) => {
  event.preventDefault();
  room?.whisper(byId("whisper").value.trim());
  byId("whisper").value = "";
});
byId("through-form").addEventListener("submit", (event) => {
  event.preventDefault();
  room?.putThrough(event.submitter?.value ?? "take_over", byId("through").value.trim());
});
helpWithNumber(byId("through"), byId("through-hint"));

// Finding.

byId("filter").addEventListener("input", ({ target }) => {
  list.filter(target.value);
  past.filter(target.value);
});

// A link to one call shows it alone; hearing it takes the press of a button.
function showLinked() {
  const sid = new URLSearchParams(location.hash.slice(1)).get("call");
  if (!sid) return;
  byId("filter").value = sid;
  list.filter(sid);
}

addEventListener("hashchange", showLinked);
showLinked();
byId("softphone").hidden = document.body.dataset.hasSoftphone !== "true";
setInterval(() => list.tick(now()), 1000);
look();
