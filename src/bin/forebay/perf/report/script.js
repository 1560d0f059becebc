// What the pointer is over. Without this script the charts are all there, only without it.
for (const svg of document.querySelectorAll("svg[data-hover]")) {
  const rows = JSON.parse(svg.dataset.hover);
  const cursor = svg.querySelector(".cursor");
  const tip = svg.parentElement.querySelector(".tip");
  const hide = () => { tip.hidden = true; cursor.style.visibility = "hidden"; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale;
    if (rows.length === 0) return hide();
    const [at, lines] = rows.reduce((best, row) => (Math.abs(row[0] - x) < Math.abs(best[0] - x) ? row : best));
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    cursor.style.visibility = "visible";
    tip.textContent = lines.join("\n");
    tip.hidden = false;
    const place = at / scale + 16;
    tip.style.left = (place + 12 + tip.offsetWidth > box.width + 16 ? place - 12 - tip.offsetWidth : place + 12) + "px";
  });
}
