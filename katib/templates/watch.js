// Keeps the page as the server has it: asks for the sections that have changed, and changes only what differs in them,
// so that the focus, an open detail, a sorted table and the place of scrolling stay.
"use strict";
const live = document.getElementById("live");
const pulse = document.getElementById("pulse");
const pause = Number(live.dataset.milliseconds);
const key = "sepsweep/" + live.dataset.name;
let tag = "", failures = 0;

function morph(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) return old.replaceWith(now);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    return;
  }
  if (old.isEqualNode(now)) return;
  for (const name of old.getAttributeNames()) {
    if (!now.hasAttribute(name) && !["open", "data-kept"].includes(name)) old.removeAttribute(name);
  }
  for (const name of now.getAttributeNames()) {
    if (old.getAttribute(name) !== now.getAttribute(name)) old.setAttribute(name, now.getAttribute(name));
  }
  const named = new Map([...old.children].filter(child => child.id).map(child => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...now.childNodes]) {
    const same = child.id && named.get(child.id);
    if (same && same !== place) old.insertBefore(same, place);
    const found = same || (place && !(place.id && !child.id) && place.nodeName === child.nodeName && !(child.id && place.id !== child.id) ? place : null);
    if (!found) { old.insertBefore(child, place); continue; }
    place = found.nextSibling;
    morph(found, child);
  }
  while (place) { const next = place.nextSibling; place.remove(); place = next; }
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
  const headers = tag ? {"If-None-Match": tag} : {};
  const answer = await fetch(`/state/${encodeURIComponent(live.dataset.name)}?have=${have.join(",")}`, {headers, cache: "no-store"});
  if (answer.status === 404) throw new Error("this search is gone");
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  const state = await answer.json();
  if (state.build !== live.dataset.build) return location.reload();
  for (const section of state.sections) if (section.html !== undefined) exchange(section);
  const ids = new Set(state.sections.map(section => section.id));
  for (const part of live.querySelectorAll(".part")) if (!ids.has(part.id)) part.remove();
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
    const why = error instanceof TypeError ? "the watch does not answer" : error.message;
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

// --- the table of trials ---
const order = {column: -1, down: false};
function sort(table) {
  for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
    if (place === order.column) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  if (order.column < 0) return;
  const value = row => {
    const text = row.cells[order.column].textContent.trim(), number = parseFloat(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const sign = order.down ? -1 : 1;
  const rows = [...table.tBodies[0].rows].map(row => [value(row), row]);
  rows.sort(([one], [two]) => one === null || two === null ? (one === null) - (two === null)
    : typeof one === typeof two ? sign * (one < two ? -1 : one > two ? 1 : 0) : typeof one === "number" ? -1 : 1);
  table.tBodies[0].append(...rows.map(([, row]) => row));
}
function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.querySelectorAll("#trials tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  }
}
function table(section) {
  const found = section.querySelector("table.sortable");
  if (!found) return;
  sort(found);
  filter();
}
live.addEventListener("input", event => { if (event.target.id === "filter") filter(); });
live.addEventListener("click", event => {
  const head = event.target.closest("table.sortable thead th");
  if (!head) return;
  order.down = order.column === head.cellIndex ? !order.down : head.classList.contains("number");
  order.column = head.cellIndex;
  sort(head.closest("table"));
});

// --- keys ---
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const places = {"/": "#filter", e: "#events .scroll", t: "#trials .scroll", g: "#searches a"};
  const target = places[event.key] && document.querySelector(places[event.key]);
  if (!target) return;
  event.preventDefault();
  target.focus();
  target.scrollIntoView({block: "center"});
});

function prepare(section) {
  if (section.id === "events") since(section);
  if (section.id === "trials") table(section);
  section.dispatchEvent(new CustomEvent("sepsweep:section", {bubbles: true}));
}
for (const section of live.querySelectorAll(".part")) prepare(section);
follow();
