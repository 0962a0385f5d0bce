// The chart to explore, in place of its drawing. What comes before this, in one script, defines vegaEmbed.
for (const place of document.querySelectorAll(".explorer")) {
  const spec = JSON.parse(place.querySelector("script").textContent);
  const chart = document.createElement("div");
  chart.className = "chart";
  place.append(chart);
  spec.width = "container";
  spec.autosize = { type: "fit-x", contains: "padding" };
  const errors = 1; // an empty layer is no reason to warn
  const options = { renderer: "svg", actions: false, logLevel: errors, tooltip: { theme: "page", disableDefaultStyle: true } };
  vegaEmbed(chart, spec, options).then(
    (made) => {
      place.querySelector(":scope > svg").remove();
      for (const control of chart.querySelectorAll(".vega-bind")) { // a name that is read aloud
        const name = control.querySelector(".vega-bind-name").textContent.trim();
        control.querySelector("input, select").setAttribute("aria-label", name);
      }
      new ResizeObserver(() => made.view.resize().runAsync()).observe(place);
    },
    () => chart.remove(), // the drawing stays
  );
}
