// What a person would see of a report, measured in the page. Returns problems and counts.
(() => {
  const all = (query, at = document) => [...at.querySelectorAll(query)];
  const problems = [];
  const place = (box) => `${Math.round(box.left)},${Math.round(box.top)}`;
  const visible = (at) => at.getClientRects().length > 0 && getComputedStyle(at).visibility !== "hidden";

  // Texts of figures: inside their figure, and none over another.
  let n_texts = 0;
  for (const chart of all("svg.chart").filter(visible)) {
    const name = chart.getAttribute("aria-label") || "a figure";
    const frame = chart.getBoundingClientRect();
    const texts = all("text", chart).filter(visible).map((at) => [at.textContent, at.getBoundingClientRect()]);
    n_texts += texts.length;
    texts.forEach(([text, box], at) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        problems.push(`${name}: "${text}" is cut at the edge`);
      if (text.includes("…")) problems.push(`${name}: "${text}" is cut`);
      for (const [other, its] of texts.slice(at + 1)) {
        const x = Math.min(box.right, its.right) - Math.max(box.left, its.left);
        const y = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
        // Boxes are a line high; letters leave some of it free.
        if (x > 1 && y > 4) problems.push(`${name}: "${text}" lies over "${other}" at ${place(box)}`);
      }
    });
  }

  // Texts of the page: none is wider than what holds it, unless that can be scrolled.
  for (const at of all("h1, h2, h3, p, li, dt, dd, th, td, summary, figcaption, label, button").filter(visible)) {
    if (at.closest("svg") || at.closest("pre")) continue;
    if (at.scrollWidth > at.clientWidth + 1 && at.clientWidth > 0 && getComputedStyle(at).display !== "inline")
      problems.push(`"${at.textContent.trim().slice(0, 60)}" is wider than its place`);
    const box = at.getBoundingClientRect();
    if (box.right > innerWidth + 1 && !at.closest(".wide, figure, nav"))
      problems.push(`"${at.textContent.trim().slice(0, 60)}" leaves the page`);
  }
  if (document.documentElement.scrollWidth > innerWidth + 1) problems.push("the page is wider than the window");

  // What must be on the first screen.
  const first = {};
  for (const [name, query] of [["answer", "#answer"], ["states", "#answer .states"], ["gates", "#gates"], ["results", "#t-results tbody tr, #results + p"]]) {
    const at = document.querySelector(query);
    first[name] = at ? at.getBoundingClientRect().bottom <= innerHeight : null;
  }
  const head = document.querySelector("#t-results th");
  return {
    problems, first, n_texts,
    first_column: head ? head.textContent.trim() : null,
    n_charts: all("svg.chart").length,
    n_rows: all("#t-results tbody tr").length,
    bytes: document.documentElement.outerHTML.length,
  };
})()
