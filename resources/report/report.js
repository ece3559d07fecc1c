"use strict";
// Ratings of the pictures, tables that sort, values of the points. Without it the page shows the same.
(() => {
  const RATINGS = ["good", "doubtful", "bad"];
  const COLUMNS = ["rater", "date", "participant_id", "session_id", "picture", "rating", "reason",
    "comment", "version", "sha256"];
  const EXCLUSION = ["participant_id", "session_id", "suffix", "reason"];
  const LONG = 20; // rows from which on a table has a filter
  const REACH = 12; // points of a plot's own size within which a value is told
  const collator = new Intl.Collator("en", {numeric: true});

  const clean = text => text.replace(/\s+/g, " ").trim();
  const tsv = (columns, rows) => [columns, ...rows.map(row => columns.map(name => row[name] || "n/a"))]
    .map(cells => cells.join("\t") + "\n").join("");

  const download = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "text/tab-separated-values"}));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // --- Ratings ---

  const review = bar => {
    const {identity, version} = bar.dataset;
    const key = `neuroimmune-mri ratings ${identity}`;
    const figures = [...document.querySelectorAll("figure.picture")];
    const sessions = [...new Set(figures.map(figure => figure.closest("details")))];
    const field = bar.querySelector("#rater"), told = bar.querySelector("#rating-told");
    const alarm = bar.querySelector("#rating-alarm");
    const choice = document.getElementById("rating-filters");
    const filters = [...choice.querySelectorAll("select")];
    let kept = {rater: "", ratings: []}, failed = false, current = null, waiting = null;

    // What this browser keeps: read before each change, as another tab may have written.
    const fail = (what, error) => {
      failed = true;
      alarm.hidden = false;
      alarm.textContent = `${what} (${error.message}). Download ratings.tsv before you leave this page.`;
    };
    const read = () => {
      if (failed) return kept;
      let text = null;
      try {
        text = localStorage.getItem(key);
        const found = JSON.parse(text || "null");
        if (found) kept = {rater: String(found.rater), ratings: [...found.ratings]};
      } catch (error) {
        fail("The ratings that this browser keeps cannot be read", error);
        try { localStorage.setItem(`${key} unreadable`, text); } catch { /* said above */ }
      }
      return kept;
    };
    const write = change => {
      change(read());
      try {
        localStorage.setItem(key, JSON.stringify(kept));
        failed = false;
        alarm.hidden = true;
      } catch (error) {
        fail("This browser does not keep the ratings", error);
      }
    };

    const named = figure => {
      const {participant_id, session_id, picture, sha256} = figure.dataset;
      return {participant_id, session_id, picture, sha256};
    };
    const place = row => [row.participant_id, row.session_id, row.picture].join(" ");
    const names = new Map(figures.map(figure => [figure, place(named(figure))]));
    const here = new Map([...names].map(([figure, name]) => [name, figure]));
    const own = () => kept.ratings.filter(row => row.rater == kept.rater);
    const rowsOf = figure => own().filter(row => place(row) == names.get(figure));
    const rowOf = (figure, rows = rowsOf(figure)) =>
      rows.find(row => row.sha256 == figure.dataset.sha256);
    // One rating of each picture: of the picture as it is here, or else the latest.
    const chosen = () => {
      const found = new Map();
      for (const row of own().sort((a, b) => a.date < b.date ? -1 : 1)) {
        const name = place(row), before = found.get(name), figure = here.get(name);
        if (!(figure && before?.sha256 == figure.dataset.sha256 && row.sha256 != before.sha256))
          found.set(name, row);
      }
      return [...found.values()].sort((a, b) => collator.compare(place(a), place(b)));
    };
    const isOld = row => here.has(place(row)) && here.get(place(row)).dataset.sha256 != row.sha256;

    const say = text => { told.textContent = text; };
    const show = (figure, rows = rowsOf(figure)) => {
      const row = rowOf(figure, rows), controls = figure.querySelector(".rating");
      figure.dataset.rated = row?.rating || "";
      if (!controls) return;
      for (const button of controls.querySelectorAll("button"))
        button.setAttribute("aria-pressed", String(button.value == row?.rating));
      const select = controls.querySelector("select"), text = controls.querySelector("textarea");
      if (row?.reason && ![...select.options].some(option => option.value == row.reason))
        select.add(new Option(row.reason, row.reason));
      select.value = row?.reason || "";
      if (document.activeElement != text) text.value = row?.comment || "";
      select.disabled = text.disabled = !row;
      const older = row ? null : rows.at(-1);
      controls.querySelector(".older").textContent = older
        ? `You rated another version of this picture ${older.rating} on ${older.date.slice(0, 10)}.` : "";
    };
    const progress = () => {
      const rows = own(), rated = figures.filter(figure => figure.dataset.rated).length;
      const shown = figures.filter(figure => !figure.hidden).length;
      const others = new Set(rows.map(place).filter(name => !here.has(name))).size;
      bar.querySelector("#rating-progress").textContent = `${rated} of ${figures.length} rated`
        + (shown < figures.length ? `, ${shown} shown` : "")
        + (others ? `; ${others} of pictures that this page does not show` : "");
      for (const button of bar.querySelectorAll("button")) button.disabled = !rows.length;
    };
    const showAll = () => {
      const rows = new Map();
      for (const row of own()) rows.set(place(row), [...rows.get(place(row)) || [], row]);
      for (const [figure, name] of names) show(figure, rows.get(name) || []);
      progress();
    };

    // The controls of a session's pictures are made when it is opened: all at once take seconds.
    const prepare = session => {
      for (const figure of session.querySelectorAll("figure.picture")) {
        if (figure.querySelector(".rating")) continue;
        const controls = document.getElementById(`rating-${figure.dataset.suffix}`).content
          .firstElementChild.cloneNode(true);
        for (const button of controls.querySelectorAll("button"))
          button.addEventListener("click", () => change(figure, {rating: button.value}));
        const select = controls.querySelector("select"), text = controls.querySelector("textarea");
        select.addEventListener("change", () => change(figure, {reason: select.value}));
        text.addEventListener("input", () => change(figure, {comment: clean(text.value)}));
        controls.querySelector("b").textContent = figure.dataset.name;
        figure.prepend(controls);
        figure.addEventListener("focusin", () => { current = figure; });
        show(figure);
      }
    };

    const change = (figure, changed) => {
      if (!read().rater) {
        waiting = () => { change(figure, changed); figure.focus(); };
        say("Write your name first.");
        field.focus();
        return;
      }
      write(kept => {
        let row = rowOf(figure);
        if (!row) {
          row = {rater: kept.rater, ...named(figure), reason: "", comment: ""};
          kept.ratings.push(row);
        }
        Object.assign(row, changed, {date: new Date().toISOString(), version});
        kept.ratings = kept.ratings.filter(row => row.rating);
      });
      say("");
      show(figure);
      progress();
    };
    const rename = () => {
      const name = clean(field.value);
      if (name.toLowerCase() == "n/a") return say("n/a is no name.");
      write(kept => { kept.rater = name; });
      field.value = name;
      say("");
      showAll();
      const next = waiting;
      waiting = null;
      if (name && next) next();
    };

    const go = step => {
      const shown = figures.filter(figure => !figure.hidden);
      let next;
      if (!current) {
        next = shown.find(figure => !figure.dataset.rated) || shown[0];
      } else {
        const from = figures.indexOf(current), seen = figure => !figure.hidden;
        next = step > 0 ? figures.slice(from + 1).find(seen)
          : figures.slice(0, from).findLast(seen);
      }
      if (!next) return say(shown.length ? `This is the ${step > 0 ? "last" : "first"} picture.` : "No picture is shown.");
      say("");
      const session = next.closest("details");
      session.open = true;
      prepare(session);
      next.focus({preventScroll: true});
      next.scrollIntoView({block: "start"});
    };
    const filter = () => {
      const wanted = filters.map(select => select.value), rating = wanted.pop();
      for (const figure of figures) {
        const values = JSON.parse(figure.dataset.values), rated = figure.dataset.rated || "none";
        figure.hidden = wanted.some((value, i) => value && value != values[i])
          || Boolean(rating) && rating != rated;
      }
      for (const session of sessions)
        session.hidden = ![...session.querySelectorAll("figure.picture")].some(figure => !figure.hidden);
      if (current?.hidden) current = null;
      progress();
    };

    const KEYS = {n: [go, 1], ArrowRight: [go, 1], p: [go, -1], ArrowLeft: [go, -1]};
    addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      const pressed = event.key.length == 1 ? event.key.toLowerCase() : event.key;
      const at = event.target instanceof Element ? event.target : document.body;
      const figure = at.closest("figure.picture");
      if (at.matches("input, select, textarea, [contenteditable]")) {
        if (event.key != "Escape" || !(figure || bar.contains(at) || choice.contains(at))) return;
        at.blur();
        (figure || current)?.focus();
      } else if (pressed in KEYS && !at.closest(".wide")) {
        const [move, step] = KEYS[pressed];
        move(step);
      } else if ("0123rt".includes(pressed) && !at.closest(".wide")) {
        if (event.repeat) return;
        const row = figure && rowOf(figure);
        if (!figure) say("Go to a picture first: n.");
        else if (pressed == "0") { if (row) change(figure, {rating: ""}); }
        else if ("123".includes(pressed)) change(figure, {rating: RATINGS[pressed - 1]});
        else if (!row) say("Rate the picture first: 1, 2 or 3.");
        else figure.querySelector(pressed == "r" ? "select" : "textarea").focus();
      } else return;
      event.preventDefault();
    });

    for (const session of sessions) {
      session.addEventListener("toggle", () => prepare(session));
      if (session.open) prepare(session);
    }
    filters.forEach(select => select.addEventListener("change", filter));
    field.addEventListener("change", rename);
    field.addEventListener("keydown", event => { if (event.key == "Enter") field.blur(); });

    window.ratingsTable = () => tsv(COLUMNS, chosen());
    window.exclusionsTable = () => tsv(EXCLUSION, chosen()
      .filter(row => row.rating == "bad" && !isOld(row))
      .map(row => ({...row, suffix: row.picture.replace("desc-qc_", ""),
        reason: `rated bad by ${row.rater}` + (row.reason ? `: ${row.reason}` : "")})));
    bar.querySelector("#download-ratings")
      .addEventListener("click", () => download("ratings.tsv", window.ratingsTable()));
    bar.querySelector("#download-exclusions")
      .addEventListener("click", () => download("exclusions.tsv", window.exclusionsTable()));
    addEventListener("storage", event => {
      if (event.key != key && event.key !== null) return;
      read();
      showAll();
    });
    addEventListener("beforeunload", event => { if (failed && own().length) event.preventDefault(); });

    bar.hidden = choice.hidden = false;
    field.value = read().rater;
    showAll();
  };

  // --- Tables ---

  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    if (!text || text == "n/a") return null;
    const number = parseFloat(text.replace(/^[<>≤≥ ]+/, "").replace("−", "-"));
    return row.cells[column].classList.contains("n") && !isNaN(number) ? number : text;
  };
  const order = (a, b) => typeof a == "number" && typeof b == "number" ? a - b
    : collator.compare(a, b);

  const sortable = table => {
    const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
    if (rows.length < 3 || table.tHead.rows.length > 1
      || table.querySelector("[rowspan], [colspan], .total")) return;
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = {none: "ascending", ascending: "descending", descending: "none"}[
          head.getAttribute("aria-sort")];
        heads.forEach(other => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", now);
        const sign = now == "descending" ? -1 : 1;
        const sorted = now == "none" ? rows : [...rows].sort((a, b) => {
          const [x, y] = [value(a, column), value(b, column)];
          return x === null || y === null ? (x === null) - (y === null) : sign * order(x, y);
        });
        body.append(...sorted);
      });
    });
  };

  const filterable = table => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length <= LONG || table.querySelector("tbody [rowspan]")) return;
    const label = document.createElement("label"), field = document.createElement("input");
    const count = document.createElement("span");
    label.className = "filter";
    field.type = "search";
    count.setAttribute("role", "status");
    label.append("Filter ", field);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows)
        row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
      const shown = rows.filter(row => !row.hidden).length;
      count.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
    });
    const line = document.createElement("div");
    line.append(label, " ", count);
    table.parentElement.before(line);
  };

  // --- Values of points ---

  const told = document.createElement("div");
  told.id = "told";
  told.setAttribute("role", "status");
  document.body.append(told);

  // Of the point that is nearest to the pointer, or that the arrow keys have come to.
  const readable = svg => {
    const mark = document.createElementNS(svg.namespaceURI, "circle");
    mark.setAttribute("class", "at");
    mark.setAttribute("r", 6);
    let points = null, at = -1;
    // The browser's own titles, which need a still hand and a while, are taken over.
    const find = () => points ??= [...svg.querySelectorAll("g > title")].map(title => {
      const {x, y, width, height} = title.parentNode.getBBox();
      const point = {x: x + width / 2, y: y + height / 2, text: title.textContent};
      title.remove();
      return point;
    });
    const show = number => {
      at = number;
      const point = points?.[at];
      told.textContent = point?.text || "";
      if (!point) return mark.remove();
      mark.setAttribute("cx", point.x);
      mark.setAttribute("cy", point.y);
      svg.append(mark);
      const {x, y} = new DOMPoint(point.x, point.y).matrixTransform(svg.getScreenCTM());
      const room = document.documentElement.clientWidth - told.offsetWidth - 4;
      told.style.left = `${scrollX + Math.max(4, Math.min(x - told.offsetWidth / 2, room))}px`;
      told.style.top = `${scrollY + y - told.offsetHeight - 10}px`;
    };
    const nearest = event => {
      const {x, y} = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
      let best = -1, least = REACH;
      find().forEach((point, number) => {
        const distance = Math.hypot(point.x - x, point.y - y);
        if (distance < least) [best, least] = [number, distance];
      });
      if (best != at) show(best);
    };
    const STEPS = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", nearest);
    svg.addEventListener("pointerdown", nearest);
    svg.addEventListener("pointerleave", () => show(-1));
    svg.addEventListener("blur", () => show(-1));
    svg.addEventListener("keydown", event => {
      if (event.key == "Escape") return show(-1);
      if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      show(Math.max(0, Math.min(at + STEPS[event.key], find().length - 1)));
    });
  };

  document.querySelectorAll("svg:has(g > title)").forEach(readable);
  for (const table of document.querySelectorAll(".wide > table")) {
    sortable(table);
    filterable(table);
  }
  // Frames that scroll are reached with Tab, and scrolled with the arrow keys.
  const frames = new ResizeObserver(entries => {
    for (const {target} of entries)
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
  });
  document.querySelectorAll(".wide, pre").forEach(frame => frames.observe(frame));
  const bar = document.getElementById("rating");
  if (bar) review(bar);
})();
