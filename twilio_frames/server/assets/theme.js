// Dark or light, before anything is drawn: the system's, unless the address says `#theme=dark`.

"use strict";
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = (name) => {
    root.dataset.theme = name;
    root.style.colorScheme = name;
  };
  const wanted = new URLSearchParams(location.hash.slice(1)).get("theme");
  set(wanted === "dark" || wanted === "light" ? wanted : system.matches ? "dark" : "light");
  system.addEventListener("change", (event) => set(event.matches ? "dark" : "light"));
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () =>
      set(root.dataset.theme === "dark" ? "light" : "dark"));
  });
})();
