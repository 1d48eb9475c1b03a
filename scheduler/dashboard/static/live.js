// Refreshes the live parts of a page; without this script the page reloads from time to time.
"use strict";

const FOCUSABLE = "a[href], summary, [tabindex]";

for (const part of document.querySelectorAll("[data-live]")) {
  follow(part, Number(part.dataset.every));
}

async function follow(part, every) {
  let shown = "";
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, every));
    if (document.hidden) continue;
    let answer, text;
    try {
      answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" }, redirect: "manual" });
      text = await answer.text();
    } catch {
      continue; // the server is being restarted, or the laptop slept
    }
    if (answer.type === "opaqueredirect" || answer.status === 404) return location.reload(); // signed out, or gone
    if (!answer.ok || text === shown) continue;
    shown = text;
    replace(part, text);
    if (part.querySelector("[data-ended]")) return location.reload(); // the rest of the page follows the end
  }
}

function replace(part, text) {
  const opened = [...part.querySelectorAll("details[open]")].map((one) => one.id);
  const focused = [...part.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  part.innerHTML = text;
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  if (focused >= 0) part.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  const said = document.getElementById("said"); // what is read aloud, when it changes
  const now = part.querySelector("[data-said]")?.textContent.trim() ?? "";
  if (said && said.textContent !== now) said.textContent = now;
}
