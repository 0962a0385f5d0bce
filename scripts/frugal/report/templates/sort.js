"use strict";
{ // Tables of class "sortable": each heading becomes a button that sorts, and a choice of data set appears.
  const board = document.currentScript.parentElement;
  const table = board.querySelector("table.sortable");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const by = row.cells[column].dataset.by;
    return by === "" ? null : Number.isNaN(Number(by)) ? by : Number(by);
  };
  const sort = (column, falling) => {
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [key(one, column), key(other, column)];
      if (a === null || b === null) return (a === null) - (b === null); // unknown last, either way
      const order = typeof a === "string" ? a.localeCompare(b) : a - b;
      return falling ? -order : order;
    });
    body.append(...rows);
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
      const text = [...body.rows].some((row) => typeof key(row, column) === "string");
      const now = head.getAttribute("aria-sort");
      sort(column, now === null ? !text : now === "ascending"); // numbers: the largest first
    });
    head.append(button);
  });
  const places = [...new Set([...body.rows].map((row) => row.dataset.where))];
  if (places.length > 1) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    label.append("data set and net: ", select);
    select.append(new Option("all", ""), ...places.map((place) => new Option(place, place)));
    select.addEventListener("change", () => {
      for (const row of body.rows) row.hidden = select.value !== "" && row.dataset.where !== select.value;
    });
    board.prepend(label);
  }
}
