// Keeps the page as the server has it: asks for the sections that have changed, and changes only what differs in them,
// so that the focus, an open detail, a sorted table and the place of scrolling stay.
"use strict";
const live = document.getElementById("live");
const pulse = document.getElementById("pulse");
const pause = Number(live.dataset.milliseconds);
const key = "sepsweep/" + live.dataset.name;
let tag = "", failures = 0;
// Behind a tunnel that has died, or after a laptop has slept, an answer may never come.
const PATIENCE = 60000;

// Rows and items have names; what the script has put into a section is not the server's, and stays.
const name_of = node => node.id || (node.nodeName === "TR" && node.dataset.trial) || "";
const ours = node => node.nodeType === Node.ELEMENT_NODE && node.classList.contains("tools");

function morph(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) return old.replaceWith(now);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    return;
  }
  if (old.isEqualNode(now) || (old.nodeName === "THEAD" && old.textContent === now.textContent)) return;
  for (const name of old.getAttributeNames()) {
    if (!now.hasAttribute(name) && !["open", "data-kept"].includes(name)) old.removeAttribute(name);
  }
  for (const name of now.getAttributeNames()) {
    if (old.getAttribute(name) !== now.getAttribute(name)) old.setAttribute(name, now.getAttribute(name));
  }
  const named = new Map([...old.children].filter(name_of).map(child => [name_of(child), child]));
  const after = node => { while (node && ours(node)) node = node.nextSibling; return node; };
  let place = after(old.firstChild);
  for (const child of [...now.childNodes]) {
    const name = name_of(child), same = name && named.get(name);
    if (same && same !== place) old.insertBefore(same, place);
    const found = same || (place && !name && !name_of(place) && place.nodeName === child.nodeName ? place : null);
    if (!found) { old.insertBefore(child, place); continue; }
    place = after(found.nextSibling);
    morph(found, child);
  }
  while (place) { const next = after(place.nextSibling); place.remove(); place = next; }
}

function exchange(section) {
  const fresh = document.createElement("div");
  fresh.className = "part";
  fresh.id = section.id;
  fresh.dataset.tag = section.tag;
  fresh.innerHTML = section.html;
  const old = document.getElementById(section.id);
  if (old) morph(old, fresh); else live.append(fresh);
  prepare(document.getElementById(section.id));
}

async function look() {
  const have = [...live.querySelectorAll(".part")].map(part => part.dataset.tag);
  const signal = AbortSignal.timeout(PATIENCE);
  const headers = tag ? {"If-None-Match": tag} : {};
  const answer = await fetch(`/state/${encodeURIComponent(live.dataset.name)}?have=${have.join(",")}`, {headers, cache: "no-store", signal});
  if (answer.status === 404) throw new Error("this search is gone");
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  const state = await answer.json();
  if (state.build !== live.dataset.build) return location.reload();
  const changed = state.sections.filter(section => section.html !== undefined);
  for (const section of changed) exchange(section);
  const ids = new Set(state.sections.map(section => section.id));
  for (const part of live.querySelectorAll(".part")) if (!ids.has(part.id)) part.remove();
  let place = live.firstElementChild;
  for (const id of ids) {
    const part = document.getElementById(id);
    if (part === place) place = place.nextElementSibling; else live.insertBefore(part, place);
  }
  if (changed.length) sepsweep.refresh(live);
  // The address without a name shows the latest search, as soon as there is one.
  if (!live.dataset.name && live.querySelector("#searches a")) return location.reload();
  document.title = state.title;
  tag = answer.headers.get("ETag");
}

async function follow() {
  try {
    await look();
    failures = 0;
    pulse.textContent = "live, read-only";
    pulse.className = "muted";
  } catch (error) {
    failures += 1;
    const away = error instanceof TypeError || ["TimeoutError", "AbortError"].includes(error.name);
    const why = away ? "the watch does not answer" : error.message;
    if (failures > 1) {
      pulse.textContent = `${why}: this is what was there at ${pulse.dataset.last || "first"}; trying again`;
      pulse.className = "away";
    }
    tag = "";
  }
  if (!failures) pulse.dataset.last = new Date().toLocaleTimeString();
  setTimeout(follow, failures ? Math.min(10000, pause * failures) : pause);
}

// --- since you last looked ---
const before = Number(localStorage.getItem(key) || 0);
function since(section) {
  const line = section.querySelector(".since");
  if (!line) return;
  const listed = [...section.querySelectorAll("li[data-time]")];
  const fresh = before ? listed.filter(item => Number(item.dataset.time) > before) : [];
  for (const item of listed) item.classList.toggle("new", fresh.includes(item));
  line.hidden = !fresh.length;
  line.textContent = `${fresh.length} since you last looked, ${new Date(before * 1000).toLocaleString()}`;
}
function seen() {
  const newest = document.querySelector("#events li[data-time]");
  if (newest) localStorage.setItem(key, newest.dataset.time);
}
addEventListener("pagehide", seen);
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") seen(); });

// --- keys ---
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const places = {e: "#events .scroll", t: "#trials tbody tr[tabindex='0']", g: "#searches a"};
  const target = places[event.key] && document.querySelector(places[event.key]);
  if (!target) return;
  event.preventDefault();
  target.focus();
  target.scrollIntoView({block: "center"});
});

function prepare(section) {
  if (section.id === "events") since(section);
}
for (const section of live.querySelectorAll(".part")) prepare(section);
follow();
