// The chart to explore, in place of its drawing. What comes before this, in one script, is Vega.
for (const place of document.querySelectorAll(".explorer")) {
  const element = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });
  const chart = element("div", "", "chart");
  const controls = element("form", "", "vega-bindings");
  const tip = element("div", "", "tip");
  tip.hidden = true;
  place.append(chart, controls, tip);

  const show = (event, told, address) => { // what a mark has to say; at the pointer, within the window
    const facts = typeof told === "string" ? [["", told]] : Object.entries(told);
    const table = element("table");
    for (const fact of facts) table.insertRow().append(...fact.map((text) => element("td", text)));
    tip.replaceChildren(table);
    if (address) tip.append(Object.assign(element("a", "to its row"), { href: address }));
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 10, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY + tip.offsetHeight + 14 < innerHeight ? event.clientY + 10 : Math.max(4, event.clientY - tip.offsetHeight - 10)}px`;
  };
  const hide = () => { tip.hidden = true; };
  let tapped = false; // then it stays until the next tap: a finger leaves the point before it reaches the link
  const tooltip = (_, event, item, told) => { if (!tapped) told ? show(event, told) : hide(); };

  const spec = JSON.parse(place.querySelector("script").textContent);
  const view = new View(parse(spec), { renderer: "svg", container: chart, bind: controls, tooltip, logLevel: ERRORS });
  view.runAsync().then(
    () => {
      place.querySelector(":scope > svg").remove();
      for (const control of controls.querySelectorAll(".vega-bind")) { // a name that is read aloud
        const name = control.querySelector(".vega-bind-name").textContent.trim();
        control.querySelector("input, select").setAttribute("aria-label", name);
      }
      new ResizeObserver(() => view.width(chart.clientWidth).runAsync()).observe(place);
    },
    () => { chart.remove(); controls.remove(); }, // the drawing stays
  );

  const near = (event) => { // the point nearest to a finger, which covers more than one
    const away = (path) => {
      const box = path.getBoundingClientRect();
      return Math.hypot(event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
    };
    const points = [...chart.querySelectorAll(".mark-symbol.role-mark path")].filter((path) => path.__data__.datum.row);
    return points.sort((one, other) => away(one) - away(other)).find((path) => away(path) < 24);
  };
  addEventListener("click", (event) => {
    const touched = event.pointerType === "touch";
    if (touched && tip.contains(event.target)) return setTimeout(hide);
    const point = touched ? chart.contains(event.target) && near(event) : event.target.closest?.(".role-mark path");
    const item = point && chart.contains(point) && point.__data__;
    tapped = touched && Boolean(item);
    if (tapped) show(event, item.tooltip, item.datum.row); // the numbers first; a link leads on
    else hide();
    if (!touched && item?.datum?.row) location.hash = item.datum.row;
  });
}
