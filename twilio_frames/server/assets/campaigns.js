// How far the campaigns are, and what came of them.

const byId = (id) => document.getElementById(id);
const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });

function minutes(seconds) {
  return seconds >= 5400 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.max(1, Math.round(seconds / 60))} min`;
}

// A campaign in words, but for its name.
export function described({ contacts, waiting, up, calls, outcomes, next_at: nextAt, seconds_left: left }, now) {
  const done = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const parts = [`${done} of ${contacts} done, ${up} up, ${waiting} waiting, ${calls} calls`];
  if (nextAt && nextAt > now && !up) parts.push(`the next at ${new Date(1000 * nextAt).toLocaleTimeString([], { timeStyle: "short" })}`);
  if (left) parts.push(`about ${minutes(left)} left`);
  return parts.join(", ");
}

function outcomesOf({ outcomes }) {
  return Object.entries(outcomes).sort(([, a], [, b]) => b - a).map(([name, count]) => `${count} ${name}`).join(", ");
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function item() {
  const made = document.createElement("li");
  made.append(element("strong", ""), document.createElement("progress"), element("small", ""), element("small", ""));
  return made;
}

export function showCampaigns(campaigns, now) {
  byId("campaigns").hidden = !campaigns.length;
  const list = byId("campaign-list");
  while (list.children.length < campaigns.length) list.append(item());
  while (list.children.length > campaigns.length) list.lastElementChild.remove();
  campaigns.forEach((campaign, index) => {
    const [name, progress, how, outcomes] = list.children[index].children;
    setText(name, campaign.name);
    progress.max = Math.max(1, campaign.contacts);
    progress.value = Object.values(campaign.outcomes).reduce((sum, count) => sum + count, 0);
    progress.setAttribute("aria-label", `Done of ${campaign.name}`);
    setText(how, described(campaign, now));
    setText(outcomes, outcomesOf(campaign));
  });
}
