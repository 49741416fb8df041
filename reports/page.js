"use strict";
// Sorts, filters and completes the tables of a report, hides series of its figures, and shows what
// stands behind a number. Needs nothing else and asks for nothing; without it all is there to read
// but rows beyond the first of a long table.
(() => {
  const STEP = 200; // rows that a long table shows more of at a time
  const TOOLS_FROM = 8; // rows from which a filter helps
  const all = (query, at = document) => [...at.querySelectorAll(query)];
  const STATES = ["ok", "doubtful", "over-saturated", "INVALID", "FAILED", "incomplete", "skipped"];
  const make = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // A number at the front of a text, or nothing.
  const number = (text) => {
    const found = /^[<≤≥~ ]*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)/.exec(text);
    return found ? Number(found[1]) : NaN;
  };

  // What a page carries as deflated JSON in base 64.
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  };

  // Rows as the page carries them: made when they are looked at.
  class Packed {
    constructor(columns) { this.columns = columns; this.n = columns[0].length; }
    cell(column, row) {
      const cell = this.columns[column][row];
      return typeof cell === "string" ? [cell] : cell;
    }
    text(column, row) { return this.cell(column, row)[0]; }
    anchor(row) { return this.cell(0, row)[5] || ""; }
    make(row, numeric) {
      const tr = make("tr");
      this.columns.forEach((_, column) => {
        const [text, spread, note, marks, tone, , href] = this.cell(column, row);
        const is_long = !numeric[column] && text.length > 28;
        const names = [numeric[column] ? "num" : "", is_long ? "long" : "", tone === "plain" ? "" : tone];
        const td = make("td", { class: names.filter(Boolean).join(" ") });
        td.append(href ? make("a", { href }, text) : text);
        if (spread) td.append(" ", make("small", {}, spread));
        for (const mark of marks || []) {
          const link = make("a", { href: "#caveat-" + mark, "aria-label": "caveat " + mark }, String(mark));
          td.append(make("sup", {}, link));
        }
        if (note) td.dataset.note = note;
        tr.append(td);
      });
      const anchor = this.anchor(row);
      if (anchor) tr.id = "c-" + anchor;
      return tr;
    }
  }

  // Rows that stand in the page.
  class Written {
    constructor(body) {
      this.rows = [...body.rows];
      this.n = this.rows.length;
      // Without intervals and the numbers of caveats, which come after.
      this.texts = this.rows.map((row) => [...row.cells].map((cell) => (cell.firstChild || cell).textContent));
    }
    text(column, row) { return this.texts[row][column]; }
    anchor(row) { return this.rows[row].id.slice(2); }
    make(row) { return this.rows[row]; }
  }

  class Table {
    constructor(box, columns) {
      this.box = box;
      this.table = box.querySelector("table");
      this.body = this.table.tBodies[0];
      this.heads = [...this.table.tHead.rows[0].cells];
      this.numeric = this.heads.map((head) => head.classList.contains("num"));
      this.rows = columns ? new Packed(columns) : new Written(this.body);
      this.made = new Map();
      this.words = null;
      this.hidden = new Set();
      this.unfit = new Set();
      this.sorted = null;
      this.limit = columns ? STEP : Infinity;
      this.order = Array.from({ length: this.rows.n }, (_, row) => row);
      this.shown = this.order;
      this.heads.forEach((head, column) => {
        const button = make("button", { type: "button" });
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => this.sort(column));
      });
      this.tools();
      this.fit();
      if (columns) this.draw(); else this.dress();
    }

    tools() {
      const bar = make("div", { class: "tools" });
      if (this.rows.n >= TOOLS_FROM) {
        const field = make("input", { type: "search", placeholder: "filter rows", "aria-label": "Filter rows" });
        field.addEventListener("input", () => this.filter(field.value));
        this.count = make("span", { class: "faint", role: "status" });
        bar.append(field, this.count);
      }
      if (this.heads.length > 4) {
        this.chosen = make("summary");
        const list = make("fieldset", {}, make("legend", {}, "Columns"));
        this.boxes = this.heads.map((head, column) => {
          const box = make("input", { type: "checkbox" });
          box.checked = true;
          box.addEventListener("change", () => { this.choose(column, box.checked); });
          list.append(make("label", {}, box, " " + head.textContent.trim()));
          return box;
        });
        bar.append(make("details", {}, this.chosen, list));
      }
      if (bar.children.length) this.box.prepend(bar);
    }

    // Leaves out what matters least until no column has to be scrolled to.
    fit() {
      if (!this.boxes) return;
      const wide = this.box.querySelector(".wide");
      const by_rank = this.heads.map((head, column) => [Number(head.dataset.rank), column])
        .filter(([rank]) => rank > 0).sort(([a], [b]) => b - a);
      for (const [, column] of by_rank) {
        if (!wide.clientWidth || this.table.offsetWidth <= wide.clientWidth) break;
        this.hidden.add(column);
        this.unfit.add(column);
        this.boxes[column].checked = false;
        this.mask_all();
      }
      this.tell();
    }

    // On paper nothing is scrolled to: what this window has no room for is there all the same.
    print(is_printed) {
      for (const column of this.unfit) {
        if (is_printed) this.hidden.delete(column); else this.hidden.add(column);
      }
      this.mask_all();
    }

    choose(column, is_wanted) {
      if (is_wanted) this.hidden.delete(column); else this.hidden.add(column);
      // From here on a person says whether it is there.
      this.unfit.delete(column);
      this.mask_all();
      this.tell();
    }

    mask_all() {
      this.mask(this.heads[0].parentElement);
      for (const row of this.body.rows) this.mask(row);
    }

    mask(row) { [...row.cells].forEach((cell, column) => { cell.hidden = this.hidden.has(column); }); }

    tell() {
      const n = this.heads.length;
      this.chosen.textContent = this.hidden.size ? `columns: ${n - this.hidden.size} of ${n}` : `columns: all ${n}`;
    }

    sort(column) {
      const was = this.sorted && this.sorted[0] === column ? this.sorted[1] : "";
      const first = this.numeric[column] ? "descending" : "ascending";
      const other = this.numeric[column] ? "ascending" : "descending";
      const way = was === "" ? first : was === first ? other : "";
      this.sorted = way ? [column, way] : null;
      this.heads.forEach((head, at) => {
        if (way && at === column) head.setAttribute("aria-sort", way); else head.removeAttribute("aria-sort");
      });
      this.arrange();
      this.draw();
    }

    arrange() {
      this.order = Array.from({ length: this.rows.n }, (_, row) => row);
      if (!this.sorted) return;
      const [column, way] = this.sorted;
      const sign = way === "ascending" ? 1 : -1;
      const texts = this.order.map((row) => this.rows.text(column, row).trim());
      const numbers = texts.map(number);
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      // What has no number comes last, whichever way.
      const by_number = (a, b) => {
        const [x, y] = [numbers[a], numbers[b]];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
        return sign * (x - y) || a - b;
      };
      const by_text = (a, b) => sign * compare(texts[a], texts[b]) || a - b;
      const is_number = numbers.some((value) => !Number.isNaN(value)) && this.numeric[column];
      const states = texts.map((text) => STATES.indexOf(text.split(/[\s[]/)[0]));
      const by_state = (a, b) => sign * (states[a] - states[b]) || a - b;
      const is_state = states.every((state) => state >= 0);
      this.order.sort(is_number ? by_number : is_state ? by_state : by_text);
    }

    filter(text) {
      this.wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
      this.draw();
    }

    matches(row) {
      // Of numbers nobody remembers the digits.
      const worded = [...this.heads.keys()].filter((column) => !this.numeric[column]);
      this.words ||= Array.from({ length: this.rows.n }, (_, at) =>
        worded.map((column) => this.rows.text(column, at)).join(" ").toLowerCase());
      return this.wanted.every((word) => this.words[row].includes(word));
    }

    row(row) {
      if (!this.made.has(row)) this.made.set(row, this.rows.make(row, this.numeric));
      return this.made.get(row);
    }

    draw() {
      const is_filtered = this.wanted && this.wanted.length;
      this.shown = is_filtered ? this.order.filter((row) => this.matches(row)) : this.order;
      this.body.replaceChildren(...this.shown.slice(0, this.limit).map((row) => this.row(row)));
      if (this.count) this.count.textContent = is_filtered ? `${this.shown.length} of ${this.rows.n} rows` : "";
      this.dress();
      const more = this.box.querySelector("p.more");
      if (!more) return;
      const n_left = this.shown.length - Math.min(this.limit, this.shown.length);
      more.hidden = n_left === 0;
      const button = make("button", { type: "button", class: "more" }, `${Math.min(STEP, n_left)} more rows`);
      button.addEventListener("click", () => { this.limit += STEP; this.draw(); });
      more.replaceChildren(`${this.body.rows.length} of ${this.shown.length} rows `, button);
    }

    // Gives rows their links, and one cell of the table a place in the order of tabs.
    dress() {
      for (const row of this.body.rows) {
        this.mask(row);
        if (row.id && !row.querySelector("a.self")) {
          const link = make("a", { href: "#" + row.id, class: "self", "aria-label": "Link to this row" }, "#");
          row.cells[0].prepend(link);
        }
      }
      const first = this.body.rows[0] && [...this.body.rows[0].cells].find((cell) => !cell.hidden);
      if (first && !this.body.querySelector("td[tabindex='0']")) first.tabIndex = 0;
    }

    // Shows the row of that name; says whether there is one.
    ask(anchor) {
      const row = this.order.find((at) => this.rows.anchor(at) === anchor);
      if (row === undefined) return false;
      for (const opened of all("tr.asked")) opened.classList.remove("asked");
      const place = this.shown.indexOf(row);
      if (place < 0 || place >= this.limit) { this.wanted = []; this.limit = Math.max(this.limit, this.order.indexOf(row) + 1); this.draw(); }
      const tr = this.row(row);
      tr.classList.add("asked");
      tr.scrollIntoView({ block: "center" });
      return true;
    }
  }

  // Arrows go from cell to cell.
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const from = event.target.closest && event.target.closest("tbody td");
    const step = STEPS[event.key];
    if (!from || !step || event.target.closest("input")) return;
    let row = from.parentElement, cell = from;
    if (step[0]) row = step[0] < 0 ? row.previousElementSibling : row.nextElementSibling;
    cell = row && row.cells[from.cellIndex];
    if (step[1]) do cell = step[1] < 0 ? cell.previousElementSibling : cell.nextElementSibling; while (cell && cell.hidden);
    if (!cell) return;
    event.preventDefault();
    from.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  });

  // What stands behind a number or a mark: said when it is pointed at or focused.
  const tip = make("div", { id: "tip", role: "tooltip", hidden: "" });
  document.body.append(tip);
  let told = null;
  const hide = () => {
    tip.hidden = true;
    if (told) told.removeAttribute("aria-describedby");
    told = null;
  };
  const note_of = (at) => {
    const title = at.namespaceURI.endsWith("svg") && at.querySelector && [...at.children].find((child) => child.nodeName === "title");
    if (title) { at.dataset.note = title.textContent; title.remove(); }
    if (at.title) { at.dataset.note = at.title; at.removeAttribute("title"); }
    return at.dataset.note;
  };
  const tell = (event) => {
    hide();
    const at = event.target.closest && event.target.closest("td, svg.chart *");
    if (!at || !note_of(at)) return;
    told = at;
    at.setAttribute("aria-describedby", "tip");
    tip.textContent = at.dataset.note;
    tip.hidden = false;
    const box = at.getBoundingClientRect();
    const x = event.clientX === undefined ? box.left : event.clientX + 12;
    const below = Math.min(event.clientY === undefined ? box.bottom : event.clientY + 16, box.bottom + 6);
    tip.style.left = Math.max(4, Math.min(x, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = (below + tip.offsetHeight > innerHeight ? Math.max(4, box.top - tip.offsetHeight - 4) : below) + "px";
  };
  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, { passive: true });

  // A legend's entry hides what it stands for.
  for (const chart of all("svg.chart")) {
    const title = [...chart.children].find((child) => child.nodeName === "title");
    if (title) { chart.setAttribute("aria-label", title.textContent); title.remove(); }
    const keys = all(".key", chart);
    if (!keys.length) continue;
    chart.setAttribute("role", "group");
    for (const key of keys) {
      key.setAttribute("role", "button");
      key.setAttribute("tabindex", "0");
      key.setAttribute("aria-pressed", "true");
      const turn = () => {
        const is_on = key.getAttribute("aria-pressed") !== "true";
        key.setAttribute("aria-pressed", String(is_on));
        for (const series of all(`.series[data-of="${key.dataset.of}"]`, chart)) series.style.display = is_on ? "" : "none";
      };
      key.addEventListener("click", turn);
      key.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        turn();
      });
    }
  }

  // Tables that are folded are read when they are opened.
  const tables = new Map();
  const enhance = async (box) => {
    if (tables.has(box)) return;
    tables.set(box, null);
    const data = box.querySelector("script");
    tables.set(box, new Table(box, data && await unpack(data.textContent)));
  };
  const ready = [];
  for (const box of all(".table")) {
    const folded = box.closest("details:not([open])");
    if (folded) folded.addEventListener("toggle", () => enhance(box), { once: true }); else ready.push(enhance(box));
  }

  const contents = document.getElementById("contents");
  for (const head of all("main h2")) {
    const id = head.id || head.closest("details").id;
    contents.append(make("a", { href: "#" + id }, head.textContent));
  }
  contents.hidden = contents.children.length < 2;

  const follow = () => {
    const name = location.hash.slice(1);
    if (name.startsWith("c-")) {
      for (const table of tables.values()) if (table && table.ask(name.slice(2))) return;
    }
    const at = document.getElementById(name);
    if (!at) return;
    for (let up = at; up; up = up.parentElement) if (up.nodeName === "DETAILS") up.open = true;
    at.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  Promise.all(ready).then(() => { if (location.hash) follow(); });

  let folded = [];
  const on_paper = (is_printed) => { for (const table of tables.values()) if (table) table.print(is_printed); };
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); for (const it of folded) it.open = true; on_paper(true); });
  addEventListener("afterprint", () => { for (const it of folded) it.open = false; on_paper(false); });
})();
