"use strict";
{ // The leaderboard: headings sort, a search and choices filter, costs are shown or hidden, a row opens to what is behind it.
  const board = document.currentScript.parentElement;
  const table = board.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows].filter((row) => !row.classList.contains("more"));
  const heads = [...table.tHead.rows[1].cells];
  const behind = (row) => document.getElementById(row.id + "/more");

  const key = (row, column) => {
    const by = row.cells[column].dataset.by;
    return by === "" ? null : Number.isNaN(Number(by)) ? by : Number(by);
  };
  const sort = (column, falling) => {
    rows.sort((one, other) => {
      const [a, b] = [key(one, column), key(other, column)];
      if (a === null || b === null) return (a === null) - (b === null); // unknown last, either way
      const order = typeof a === "string" ? a.localeCompare(b) : a - b;
      return falling ? -order : order;
    });
    body.append(...rows.flatMap((row) => [row, behind(row)]));
    filter();
    heads.forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.title = "sort by " + button.textContent;
    button.addEventListener("click", () => {
      const text = rows.some((row) => typeof key(row, column) === "string");
      const now = head.getAttribute("aria-sort");
      sort(column, now === null ? !text : now === "ascending"); // numbers: the largest first
    });
    head.append(button);
  });

  const open = (row, shown) => {
    behind(row).hidden = !shown;
    row.querySelector("button").setAttribute("aria-expanded", shown);
  };
  for (const row of rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...row.cells[0].childNodes);
    button.addEventListener("click", () => open(row, behind(row).hidden));
    row.cells[0].prepend(button);
    open(row, false);
  }

  const controls = board.querySelector(".controls");
  const narrow = matchMedia("(max-width: 640px)").matches; // rows are cards there, as in style.css
  let most = narrow ? 12 : Infinity;
  const all = document.createElement("button");
  all.type = "button";
  all.className = "all";
  all.addEventListener("click", () => { most = Infinity; filter(); });
  table.parentElement.after(all);
  if (narrow) for (const box of controls.querySelectorAll("input[type=checkbox]")) box.checked = false;
  const chosen = (name) => controls.elements[name].value;
  const filter = () => {
    const words = chosen("search").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    let hidden = 0;
    for (const row of rows) {
      const idea = behind(row).querySelector("[data-of=idea]");
      const text = `${row.textContent} ${idea ? idea.textContent : ""}`.toLowerCase();
      const fits = ["ground", "family", "verdict"].every((name) => ["", row.dataset[name]].includes(chosen(name)));
      const found = fits && words.every((word) => text.includes(word));
      count += found;
      row.hidden = !found || count > most;
      hidden += found && row.hidden;
      if (row.hidden) open(row, false);
    }
    all.hidden = hidden === 0;
    all.textContent = `show ${hidden} more`;
    board.querySelector("output").value = count === rows.length ? `${count} rows` : `${count} of ${rows.length} rows`;
  };
  const columns = () => {
    for (const box of controls.querySelectorAll("input[type=checkbox]"))
      for (const cell of table.querySelectorAll(`[data-cost="${box.value}"]`)) cell.hidden = !box.checked;
  };
  controls.addEventListener("input", () => { filter(); columns(); });
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
