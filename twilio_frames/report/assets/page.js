// Puts the page together.

const root = document.documentElement;
const themeWanted = new URLSearchParams(location.hash.slice(1)).get("theme");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function setTheme(name) {
  root.dataset.theme = name;
  root.style.colorScheme = name;
  readColours();
  draw();
}

document.getElementById("theme").addEventListener("click", () =>
  setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
prefersDark.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));

document.getElementById("title").textContent = content.title;
const began = content.began ? new Date(content.began).toLocaleString() : "";
document.getElementById("subtitle").textContent = [began, content.ended].filter(Boolean).join(" · ");
timeline.setAttribute("aria-valuemax", content.seconds);

document.getElementById("in").addEventListener("click", () => view.zoom(1.6));
document.getElementById("out").addEventListener("click", () => view.zoom(1 / 1.6));
document.getElementById("fit").addEventListener("click", () => view.fit());
document.getElementById("next").addEventListener("click", nextTurn);
document.getElementById("previous").addEventListener("click", previousTurn);

// As much of the call as can be read, from its beginning.
const READABLE = 40;
view.width = lanesCanvas.clientWidth;
view.place(0, Math.max(view.width / view.seconds, READABLE));
view.listeners.push(draw, markTalk);
new ResizeObserver(() => { mapPicture = null; draw(); }).observe(timeline);
setTheme(themeWanted ?? (prefersDark.matches ? "dark" : "light"));
showTiles();
showFindings();
showLegend();
showTalk();
requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("drawn")));
