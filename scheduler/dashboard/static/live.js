// Replaces the parts of a page that change by themselves; without it the page loads itself anew now and then.
"use strict";

for (const part of document.querySelectorAll("[data-live]")) {
  follow(part, Number(part.dataset.every));
}

async function follow(part, every) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, every));
    if (document.hidden) continue;
    let answer;
    try {
      answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" }, redirect: "manual" });
    } catch {
      continue; // the server is being restarted, or the laptop slept
    }
    if (answer.type === "opaqueredirect" || answer.status === 404) return location.reload(); // signed out, or gone
    if (!answer.ok) continue;
    const opened = [...part.querySelectorAll("details[open]")].map((one) => one.id);
    part.innerHTML = await answer.text();
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (part.querySelector("[data-ended]")) return location.reload(); // the rest of the page follows the end
  }
}
