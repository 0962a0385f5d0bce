"use strict";
{ // The leaderboard: headings sort, a search and choices filter, costs are shown or hidden, a row opens to what is behind it.
  const board = document.currentScript.parentElement;
  board.classList.add("live"); // first: whatever fails below, the table is shown
  const table = board.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[1].cells];
  const behind = JSON.parse(board.querySelector('script[type="application/json"]').textContent);
  const about = new Map(rows.map((row, place) => [row, { family: behind.rows[place][0], facts: behind.rows[place][1] }]));

  const element = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });
  const button = (cell) => { // round all that the cell holds
    const made = Object.assign(element("button"), { type: "button" });
    made.append(...cell.childNodes);
    cell.append(made);
    return made;
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    const by = cell.dataset.by ?? cell.textContent;
    return by === "" ? null : Number.isNaN(Number(by)) ? by : Number(by);
  };
  const sort = (column, falling) => {
    rows.sort((one, other) => {
      const [a, b] = [key(one, column), key(other, column)];
      if (a === null || b === null) return (a === null) - (b === null); // unknown last, either way
      const order = typeof a === "string" ? a.localeCompare(b) : a - b;
      return falling ? -order : order;
    });
    body.append(...rows.flatMap((row) => [row, about.get(row).more].filter(Boolean)));
    filter();
    heads.forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  heads.forEach((head, column) => {
    const made = button(head);
    made.title = "sort by " + made.textContent;
    made.addEventListener("click", () => {
      const text = rows.some((row) => typeof key(row, column) === "string");
      const now = head.getAttribute("aria-sort");
      sort(column, now === null ? !text : now === "ascending"); // numbers: the largest first
    });
  });

  const records = ([name, folder, runs]) => { // a line per run, each file of its record a link
    const part = element("div");
    part.append(element("code", name), runs.length ? "" : " none");
    for (const [seed, accuracy, files = Object.keys(behind.files)] of runs) {
      const line = element("div", `seed ${seed}${accuracy && `: ${accuracy} %`}`);
      for (const file of files) {
        line.append(" ", Object.assign(element("a", file), { href: `${folder}/seed-${seed}/${behind.files[file]}` }));
      }
      part.append(line);
    }
    return part;
  };
  const details = (row) => {
    const list = element("dl");
    about.get(row).facts.forEach((fact, place) => {
      if (!fact.length) return;
      const told = element("dd");
      if (typeof fact === "string") told.innerHTML = fact;
      else told.append(...fact.map(records));
      list.append(element("dt", behind.names[place]), told);
    });
    const more = Object.assign(element("tr"), { className: "more" });
    more.append(Object.assign(element("td"), { colSpan: heads.length }));
    more.cells[0].append(list);
    return more;
  };
  const open = (row, shown) => {
    const its = about.get(row);
    if (shown && !its.more) row.after((its.more = details(row)));
    if (its.more) its.more.hidden = !shown;
    row.querySelector("button").setAttribute("aria-expanded", shown);
  };
  for (const row of rows) {
    button(row.cells[0]).setAttribute("aria-expanded", false);
  }
  body.addEventListener("click", (event) => {
    const pressed = event.target.closest("button");
    if (pressed) open(pressed.closest("tr"), pressed.getAttribute("aria-expanded") === "false");
  });

  const controls = board.querySelector(".controls");
  const boxes = [...controls.querySelectorAll("input[type=checkbox]")];
  const narrow = matchMedia("(max-width: 640px)").matches; // rows are cards there, as in style.css
  let most = narrow ? 12 : 100;
  const all = Object.assign(element("button"), { type: "button", className: "all" });
  all.addEventListener("click", () => { most = Infinity; filter(); });
  table.parentElement.after(all);
  if (narrow) for (const box of boxes) box.checked = false;
  const chosen = (name) => controls.elements[name].value;
  const filter = () => {
    const words = chosen("search").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    let hidden = 0;
    for (const row of rows) {
      const { family, facts, more } = about.get(row);
      const own = { ground: row.cells[7].textContent, family, verdict: row.cells[2].textContent };
      const text = words.length ? `${row.textContent} ${facts[0]}`.toLowerCase() : "";
      const found = Object.keys(own).every((name) => ["", own[name]].includes(chosen(name))) && words.every((word) => text.includes(word));
      count += found;
      row.hidden = !found || count > most;
      hidden += found && row.hidden;
      if (row.hidden && more) open(row, false);
    }
    all.hidden = hidden === 0;
    all.textContent = `show ${hidden} more`;
    board.querySelector("output").value = count === rows.length ? `rows: ${count}` : `rows: ${count} of ${rows.length}`;
  };
  const hiding = board.appendChild(element("style"));
  const columns = () => { // one rule rather than a change of each cell
    const away = boxes.filter((box) => !box.checked).map((box) => box.value);
    const cells = heads.flatMap((head, place) => (away.includes(head.dataset.cost) ? `tr:not(.more) > td:nth-child(${place + 1})` : []));
    const rules = [...cells.map((cell) => `.board tbody ${cell}`), ...away.map((cost) => `.board [data-cost="${cost}"]`)];
    hiding.textContent = rules.length ? `${rules} { display: none; }` : "";
  };
  controls.addEventListener("input", (event) => (boxes.includes(event.target) ? columns() : filter()));
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  filter();
  columns();

  const follow = () => { // the address of a row, as the chart and other pages link to it
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!rows.includes(row)) return;
    row.hidden = false; // whatever is filtered
    open(row, true);
    row.scrollIntoView({ block: "center" });
    row.querySelector("button").focus({ preventScroll: true });
  };
  addEventListener("hashchange", follow);
  follow();
}
