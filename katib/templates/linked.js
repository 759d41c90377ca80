"use strict";
// Links the figures and the table of a page by trial: what is pointed at, selected or compared is so everywhere.
// Nothing here is needed to see a figure. `sepsweep.refresh(section)` takes up a section that was put in anew.
const sepsweep = (() => {
  const compared = [];            // At most two names, the oldest first.
  const ranges = new Map();       // By axis, the selected part of it, [from, to] of 0 to 1.
  let trials = new Map(), marks = new Map(), names = [], data = { ours: false }, hot = "", filter = () => true;
  const hooks = { apply: [], refresh: [] };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // -- what is selected ------------------------------------------------------------------------------------------
  const within = (trial) => [...ranges].every(([axis, [from, to]]) => {
    const place = trial.places[names.indexOf(axis)];
    return place != null && place >= from - 1e-6 && place <= to + 1e-6;
  });
  const selected = (name) => {
    const trial = trials.get(name);
    return !trial || (within(trial) && filter(trial));
  };

  const apply = () => {
    for (const [name, elements] of marks) {
      const off = !selected(name), on = compared.includes(name);
      for (const element of elements) {
        element.classList.toggle("off", off && !on);
        element.classList.toggle("on", on);
        element.classList.toggle("hot", name === hot);
      }
    }
    for (const brush of all("g.brush")) show(brush);
    for (const hook of hooks.apply) hook();
  };
  const point = (name) => {
    for (const [each, add] of [[hot, false], [name, true]])
      for (const element of marks.get(each) ?? []) element.classList.toggle("hot", add);
    hot = name;
  };
  const toggle = (name) => {
    const place = compared.indexOf(name);
    if (place >= 0) compared.splice(place, 1);
    else if (compared.push(name) > 2) compared.shift();
    apply();
  };
  const clear = () => {
    compared.length = 0;
    ranges.clear();
    point("");
    for (const input of all("input.filter")) input.value = "";
    filter = () => true;
    apply();
  };

  // -- the tip ---------------------------------------------------------------------------------------------------
  const tip = make("div", { id: "tip", hidden: true });
  tip.setAttribute("role", "status");
  const tell = (element, x, y) => {
    const name = element?.closest("[data-trial]")?.dataset.trial ?? "", trial = trials.get(name);
    const words = element?.closest("[data-tip]")?.dataset.tip ?? "";
    if (name !== hot) point(name);
    tip.hidden = !trial && !words;
    if (tip.hidden) return;
    tip.replaceChildren(...[words || null, ...(trial ? [make("strong", { textContent: name }), ...trial.says] : [])]
      .filter(Boolean).map((line) => make("div", {}, line)));
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 12) : y + 18}px`;
  };
  // A line is thinner than a hand is steady: what lies within some pixels counts.
  const AROUND = [[0, 0], [0, 4], [0, -4], [4, 0], [-4, 0], [6, 6], [-6, -6], [6, -6], [-6, 6]];
  const near = (event) => {
    for (const [right, down] of AROUND) {
      const found = document.elementFromPoint(event.clientX + right, event.clientY + down);
      const mark = found?.closest("[data-trial], [data-tip]");
      if (mark) return mark;
    }
    return null;
  };

  // -- brushing an axis ------------------------------------------------------------------------------------------
  const share = (brush, event) => {
    const svg = brush.ownerSVGElement, { top, floor } = brush.dataset;
    const y = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).y;
    return Math.min(1, Math.max(0, (floor - y) / (floor - top)));
  };
  const show = (brush) => {
    const [from, to] = ranges.get(brush.dataset.axis) ?? [0, 0], { top, floor } = brush.dataset;
    const bar = brush.querySelector(".range"), high = floor - top;
    bar.setAttribute("y", floor - to * high);
    bar.setAttribute("height", (to - from) * high);
    bar.setAttribute("visibility", to > from ? "visible" : "hidden");
    brush.setAttribute("aria-valuetext", to > from ? `${Math.round(100 * from)} to ${Math.round(100 * to)} % of the axis` : "all");
    brush.setAttribute("aria-valuenow", Math.round(100 * from));
  };
  const select = (axis, from, to) => {
    if (to - from < 0.015 || (from <= 0 && to >= 1)) ranges.delete(axis);
    else ranges.set(axis, [from, to]);
    apply();
  };
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const brush = event.target.closest?.("g.brush");
    if (!brush || event.button) return;
    drag = { brush, start: share(brush, event) };
    brush.focus();
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => {
    if (drag) {
      const now = share(drag.brush, event);
      select(drag.brush.dataset.axis, Math.min(now, drag.start), Math.max(now, drag.start));
    } else if (event.target.closest?.("svg.drawn")) tell(near(event), event.clientX, event.clientY);
    else if (!tip.hidden) tell(null);
  });
  document.addEventListener("pointerup", (event) => {
    if (drag && Math.abs(share(drag.brush, event) - drag.start) < 0.015) select(drag.brush.dataset.axis, 0, 0);
    drag = null;
  });
  document.addEventListener("pointercancel", () => { drag = null; });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("g.brush") || !event.target.closest?.("svg.drawn")) return;
    const name = near(event)?.dataset.trial;
    if (name) toggle(name);
  });

  // -- keys ------------------------------------------------------------------------------------------------------
  const STEP = 0.05, MOVES = { ArrowUp: STEP, ArrowDown: -STEP };
  document.addEventListener("keydown", (event) => {
    const brush = event.target.closest?.("g.brush"), move = MOVES[event.key];
    if (event.key === "Escape") clear();
    else if (brush && move) {
      const [from, to] = ranges.get(brush.dataset.axis) ?? [0, 1];
      const held = (value, low, high) => Math.min(high, Math.max(low, value));
      if (event.shiftKey) select(brush.dataset.axis, from, held(to + move, from + STEP, 1));
      else select(brush.dataset.axis, held(from + move, 0, to - STEP), to);
      event.preventDefault();
    }
  });

  // -- a section that is new -------------------------------------------------------------------------------------
  const refresh = (section = document) => {
    // A title of a whole figure would follow the pointer everywhere; its label says the same to a screen reader.
    for (const title of all("svg.drawn > title", section)) title.remove();
    const found = document.getElementById("trials-data");
    if (found) {
      data = JSON.parse(found.textContent);
      names = data.axes;
      trials = new Map(data.trials.map((trial) => [trial.name, trial]));
    }
    marks = new Map();
    for (const element of all("[data-trial]")) {
      const name = element.dataset.trial;
      if (!marks.has(name)) marks.set(name, []);
      marks.get(name).push(element);
    }
    if (!tip.isConnected) document.body.append(tip);
    for (const hook of hooks.refresh) hook(section);
    apply();
  };

  // On paper nothing can be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });

  return {
    refresh, clear, toggle, point, select, selected, make, all, hooks, compared,
    trial: (name) => trials.get(name), data: () => data,
    filterBy: (test) => { filter = test; apply(); },
  };
})();
