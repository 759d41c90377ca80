"use strict";
// Draws the figures of the page, anew where the colour scheme changes and, to the width of the paper, for print.
(() => {
  const { themes, figures } = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const holders = [...document.querySelectorAll("[data-figure]")];
  const PAPER = 660, HALF = 320, FLATTER = 0.78;
  const config = { displayModeBar: false, responsive: true, showTips: false };
  // A finger that drags scrolls the page; a mouse that drags looks closer, and a double click goes back.
  const drag = matchMedia("(pointer: fine)").matches ? "zoom" : false;

  const template = () => themes[dark.matches ? "dark" : "light"];
  const narrow = () => innerWidth < 560;

  const layout = (holder, figure) => {
    const made = structuredClone(figure.layout);
    made.template = template();
    made.height = holder.clientHeight;
    if (!made.xaxis || made.xaxis.visible !== false) made.dragmode = drag;
    if (narrow()) for (const axis of ["xaxis", "yaxis"]) if (made[axis]?.title) made[axis].nticks = 5;
    return made;
  };

  for (const holder of holders) {
    const figure = figures[holder.dataset.figure];
    Plotly.newPlot(holder, figure.data, layout(holder, figure), config);
  }
  document.documentElement.dataset.drawn = holders.length;

  dark.addEventListener("change", () => {
    for (const holder of holders) Plotly.relayout(holder, { template: template() });
  });
  // On paper nothing can be unfolded.
  const folded = document.querySelectorAll("details:not([open])");
  addEventListener("beforeprint", () => {
    for (const details of folded) details.open = true;
    for (const holder of holders) {
      const width = holder.closest(".grid") ? HALF : PAPER;
      const height = FLATTER * parseFloat(holder.style.height);
      Plotly.relayout(holder, { template: themes.light, width, height, autosize: false });
    }
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    for (const holder of holders) {
      const height = parseFloat(holder.style.height);
      Plotly.relayout(holder, { template: template(), width: null, height, autosize: true });
    }
  });
})();
