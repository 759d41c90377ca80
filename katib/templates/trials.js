// The table of all trials: sorting, filtering, keys, two trials side by side, and settings to copy.
(() => {
  const { make, all, hooks, compared } = sepsweep;
  const text = (cell) => cell?.dataset.v ?? cell?.textContent.trim() ?? "";

  // -- sorting ---------------------------------------------------------------------------------------------------
  const sorted = new Map();       // By table id, the heading and direction, so that a new table is sorted alike.
  const sort = (table, heading, down) => {
    const column = [...heading.parentNode.children].indexOf(heading), body = table.tBodies[0];
    const numeric = heading.classList.contains("number");
    const key = (row) => (numeric ? parseFloat(text(row.cells[column])) : text(row.cells[column]).toLowerCase());
    const rows = [...body.rows].map((row) => [key(row), row]);
    const empty = (value) => value === "" || Number.isNaN(value);
    rows.sort(([a], [b]) => empty(a) - empty(b) || (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    if (table.id) sorted.set(table.id, [heading.textContent, down]);
  };
  document.addEventListener("click", (event) => {
    const heading = event.target.closest?.("th button")?.closest("th");
    if (heading) sort(heading.closest("table"), heading, heading.getAttribute("aria-sort") === "ascending");
    else if (!event.target.closest?.("a, summary, details, button")) {
      const row = event.target.closest?.("tbody tr[data-trial]");
      if (row && !getSelection().toString()) sepsweep.toggle(row.dataset.trial);
    }
  });
  const sortable = (table) => {
    // Rows that can be focused and selected are those of a grid.
    table.setAttribute("role", "grid");
    table.setAttribute("aria-multiselectable", "true");
    table.setAttribute("aria-label", "All trials");
    for (const heading of all("thead th", table)) {
      if (heading.querySelector("button")) continue;
      const button = make("button", { type: "button", title: "sort" }, ...heading.childNodes);
      button.setAttribute("aria-label", heading.getAttribute("aria-label") ?? heading.textContent);
      heading.replaceChildren(button);
    }
    const [name, down] = sorted.get(table.id) ?? [];
    const heading = all("thead th", table).find((one) => one.textContent === name);
    if (heading) sort(table, heading, down);
  };

  // -- filtering: words, and comparisons such as lr<0.001 or state=Failed -----------------------------------------
  const COMPARISON = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/;
  const number = (value) => (value === "" || value == null ? NaN : Number(value));
  const test = (word) => {
    const found = COMPARISON.exec(word);
    if (!found) return (trial) => trial.words.includes(word);
    const [, name, sign, wanted] = found, limit = number(wanted);
    return (trial) => {
      const key = Object.keys(trial.values).find((one) => one.toLowerCase() === name), value = trial.values[key];
      if (sign === "=") return value != null && (String(value).toLowerCase() === wanted || number(value) === limit);
      const own = number(value);
      return { "<": own < limit, ">": own > limit, "<=": own <= limit, ">=": own >= limit }[sign];
    };
  };
  const filter = (input) => {
    const tests = input.value.toLowerCase().replace(/\s*(<=|>=|<|>|=)\s*/g, "$1").split(/\s+/).filter(Boolean).map(test);
    sepsweep.filterBy((trial) => tests.every((one) => one(trial)));
  };
  document.addEventListener("input", (event) => { if (event.target.matches?.("input.filter")) filter(event.target); });
  let query = "", every = false;
  const filterable = (table) => {
    const box = table.closest(".scroll") ?? table;
    if (box.previousElementSibling?.classList.contains("tools")) return;
    const input = make("input", { type: "search", className: "filter", value: query, placeholder: "lr<0.001 state=Failed" });
    const label = make("label", {}, "Filter ", input);
    input.addEventListener("input", () => { query = input.value; });
    const more = make("button", { type: "button", textContent: "all metrics" });
    more.setAttribute("aria-pressed", every);
    more.addEventListener("click", () => {
      every = !every;
      table.classList.toggle("every", every);
      more.setAttribute("aria-pressed", every);
    });
    table.classList.toggle("every", every);
    const saves = ["CSV", "JSON"].map((form) => make("button", {
      type: "button", textContent: `save ${form}`, title: "the trials shown, with all metrics", onclick: () => save(table, form),
    }));
    const found = [label, make("output", { className: "shown" }), ...(table.querySelector(".more") ? [more] : []), ...saves];
    box.before(make("div", { className: "tools screen-only" }, ...found));
    if (query) filter(input);
  };

  // -- the trials shown, as a file ---------------------------------------------------------------------------------
  const save = (table, form) => {
    const headings = all("thead th", table), names = headings.map((one) => one.textContent);
    const value = (row, column) => {
      const words = text(row.cells[column]);
      return headings[column].classList.contains("number") && words !== "" && Number.isFinite(Number(words)) ? Number(words) : words;
    };
    const lines = all("tbody tr:not(.off)", table).map((row) => names.map((_, column) => value(row, column)));
    const record = (line) => Object.fromEntries(line.map((one, column) => [names[column], one === "" ? null : one]));
    // A text that begins like a formula would be one in a spreadsheet.
    const quoted = (one) => (typeof one === "number" ? one : `"${one.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`);
    const content = form === "JSON" ? JSON.stringify(lines.map(record), null, 1)
      : [names, ...lines].map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
    const title = (document.querySelector("h1")?.textContent ?? "").trim().replace(/[^\w.-]+/g, "-");
    download(`${title || "search"}-trials.${form.toLowerCase()}`, form === "JSON" ? "application/json" : "text/csv", content);
  };
  const download = (name, type, content) => make("a", {
    href: `data:${type};charset=utf-8,${encodeURIComponent(content)}`, download: name,
  }).click();

  // -- two side by side ------------------------------------------------------------------------------------------
  const panel = make("aside", { id: "compare", hidden: true, className: "screen-only" });
  panel.setAttribute("aria-label", "Selected trials");
  const settings = (trial, form) => {
    const pairs = Object.entries(trial.settings);
    if (form === "YAML") return ["fixed:", ...pairs.map(([name, value]) => `  ${name}: ${value}`)].join("\n");
    if (!sepsweep.data().ours) return pairs.map(([name, value]) => `${name}=${value}`).join("\n");
    return pairs.map(([name, value]) => `--${name.replaceAll("_", "-")} ${value}`).join(" ");
  };
  // The manifest of this trial alone, in which nothing varies; empty where the search does not say how a trial runs.
  const file = (trial) => {
    const { run } = sepsweep.data();
    if (!run || !run.settings.every((name) => name in trial.settings)) return null;
    // An Experiment's name has at most 40 characters; the last ones tell two trials apart.
    const name = trial.name.toLowerCase().replace(/[^a-z0-9-]/g, "-").slice(-40).replace(/^[^a-z]+|-+$/g, "") || "run";
    const put = (content, key, number) =>
      content.replaceAll(run.value.replace("{}", number), () => JSON.stringify(trial.settings[key]));
    return { name: `${name}.yaml`, content: run.settings.reduce(put, run.text.replaceAll(run.name, name)) };
  };
  const saver = (trial) => {
    const found = file(trial);
    return found ? [make("button", {
      type: "button", textContent: "save FILE", title: `trains it once more: FILE=${found.name}`,
      onclick: () => download(found.name, "application/yaml", found.content),
    })] : [];
  };
  const copy = async (words, button) => {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      // A page from a file may not have the clipboard; the old way needs a field.
      const field = make("textarea", { value: words });
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-copy]");
    if (button) copy(button.dataset.copy, button);
  });
  // Breaks a long name behind its underscores; the metric has its unit, as on its axis.
  const label = (name) => {
    const title = sepsweep.data().axes.at(-1) ?? "";
    const parts = (title.startsWith(`${name} (`) ? title : name).split(/(?<=_)/);
    return parts.flatMap((part, index) => (index ? [make("wbr"), part] : [part]));
  };
  const bare = (name) => {
    const prefix = `${(document.querySelector("h1")?.textContent ?? "").trim()}-`;
    return name.startsWith(prefix) ? name.slice(prefix.length) : name;
  };
  const compare = () => {
    const chosen = compared.map(sepsweep.trial).filter(Boolean);
    panel.hidden = !chosen.length;
    const names = [...new Set(chosen.flatMap((trial) => Object.keys(trial.values)))];
    const rows = names.map((name) => {
      const cells = chosen.map((trial) => String(trial.values[name] ?? ""));
      const row = make("tr", { className: new Set(cells).size > 1 ? "differs" : "" }, make("th", { scope: "row" }, ...label(name)));
      row.append(...cells.map((cell) => make("td", { textContent: cell })));
      return row;
    });
    const buttons = chosen.map((trial) => make("td", {}, ...["flags", "YAML"].map((form) => {
      const button = make("button", { type: "button", textContent: `copy ${form}` });
      button.dataset.copy = settings(trial, form);
      return button;
    }), ...saver(trial)));
    const close = make("button", { type: "button", textContent: "close", onclick: sepsweep.clear });
    const head = make("tr", {}, make("th", {}, close), ...chosen.map((trial) => make("th", { scope: "col", title: trial.name, textContent: bare(trial.name) })));
    panel.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, make("tr", {}, make("td"), ...buttons), ...rows)));
  };

  // -- keys: up and down move through the rows, by page too; Enter takes one to compare ---------------------------
  const MOVES = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };
  const rows = () => all("#trials tbody tr[data-trial]:not(.off)");
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches?.("input, textarea")) {
      document.querySelector("input.filter")?.focus();
      event.preventDefault();
    }
    const row = event.target.closest?.("#trials tbody tr");
    if (!row || event.target !== row) return;
    const listed = rows(), move = MOVES[event.key];
    if (move) {
      const next = listed[Math.min(listed.length - 1, Math.max(0, listed.indexOf(row) + move))] ?? row;
      row.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === " ") {
      sepsweep.toggle(row.dataset.trial);
      event.preventDefault();
    }
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("tbody tr[data-trial]");
    if (row) sepsweep.point(row.dataset.trial);
  });
  document.addEventListener("pointerover", (event) => {
    const row = event.target.closest?.("tbody tr[data-trial]");
    if (row) sepsweep.point(row.dataset.trial);
  });

  hooks.refresh.push(() => {
    if (!panel.isConnected) document.body.append(panel);
    for (const table of all("table.sortable")) sortable(table);
    const table = document.getElementById("trials");
    if (table) filterable(table);
  });
  hooks.apply.push(() => {
    const listed = rows(), output = document.querySelector("output.shown");
    for (const row of all("#trials tbody tr[data-trial]")) {
      row.tabIndex = row === listed[0] ? 0 : -1;
      row.setAttribute("aria-selected", compared.includes(row.dataset.trial));
    }
    const every = all("#trials tbody tr[data-trial]").length;
    const total = sepsweep.data().total ?? every, of = total > every ? `the best ${every} of ${total} trials` : `${every} trials`;
    if (output) output.textContent = listed.length < every ? `${listed.length} of ${of}` : of;
    compare();
  });
  document.documentElement.classList.add("linked");
  sepsweep.refresh();
})();
