// The calls that are over, each with its report where the server keeps logs.

import { matches, nameOf, stateOf } from "./calls.js";
import { ask, isLoggedIn } from "./key.js";
import { clock } from "./talk_view.js";

const byId = (id) => document.getElementById(id);
const A_PAGE = 50;
const hasReports = document.body.dataset.hasReports === "true";

// Opens a call's report in a tab of its own, which can show no key: it has a ticket.
export async function openReport(sid, complain) {
  // Opened at once, since a browser lets nothing be opened later.
  const tab = open("", "_blank");
  try {
    const { address } = await ask(`calls/${encodeURIComponent(sid)}/report`, { method: "POST" });
    tab.opener = null;
    tab.location = new URL(address, location.href);
  } catch (error) {
    tab?.close();
    complain(error.message);
  }
}

export class PastCalls {
  constructor(book, complain) {
    this.book = book;
    this.complain = complain;
    this.most = A_PAGE;
    this.wanted = "";
    this.hasAsked = false;
    byId("past").addEventListener("toggle", () => this.open());
    byId("more-past").addEventListener("click", () => { this.most += A_PAGE; this.show(); });
  }

  async open() {
    this.show();
    if (!hasReports || this.hasAsked || !isLoggedIn()) return;
    this.hasAsked = true;
    try {
      this.book.add((await ask("console/history")).calls);
      this.show();
    } catch (error) {
      this.hasAsked = false;
      this.complain(error.message);
    }
  }

  filter(wanted) {
    this.wanted = wanted.trim();
    this.show();
  }

  show() {
    if (!byId("past").open) return;
    const found = this.book.past().filter((call) => matches(call, this.wanted));
    byId("no-past").hidden = found.length > 0;
    byId("more-past").hidden = found.length <= this.most;
    const shown = found.slice(0, this.most);
    // The same rows where nothing has changed, so that whoever is among them stays there.
    const rows = new Map([...byId("past-calls").children].map((row) => [row.dataset.sid, row]));
    const items = shown.map((call) => rows.get(call.call_sid) ?? this.row(call));
    if (items.length !== rows.size || items.some((item, index) => item !== byId("past-calls").children[index])) byId("past-calls").replaceChildren(...items);
  }

  row(call) {
    const row = document.createElement("li");
    const small = document.createElement("small");
    const length = call.ended_at ? `, ${clock(call.ended_at - call.began_at)}` : "";
    row.dataset.sid = call.call_sid;
    row.className = call.stream === "failed" ? "bad" : "";
    small.textContent = `${new Date(1000 * call.began_at).toLocaleString([], { dateStyle: "short", timeStyle: "medium" })}${length}, ${stateOf(call)}`;
    row.append(nameOf(call), small);
    if (hasReports && call.has_report !== false && call.stream !== "none") {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Report";
      button.setAttribute("aria-label", `Report of ${nameOf(call)}`);
      button.addEventListener("click", () => openReport(call.call_sid, this.complain));
      row.append(button);
    }
    return row;
  }
}
