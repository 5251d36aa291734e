// The learning curve so far, as lines in an SVG.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [320, 160, 44, 24, 12];

function part(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const short = (number) =>
  new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(number);

export function drawCurve(svg, points, name) {
  const steps = points.map((point) => point[0]);
  const values = points.map((point) => point[1]);
  const low = Math.min(...values);
  const high = Math.max(...values, low + 1e-9);
  const first = Math.min(...steps);
  const last = Math.max(...steps, first + 1);
  const x = (step) => LEFT + ((step - first) / (last - first)) * (WIDTH - LEFT - 8);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  const line = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const base = HEIGHT - BOTTOM;
  svg.replaceChildren(
    part("line", { class: "curve-axis", x1: LEFT, x2: WIDTH - 8, y1: base, y2: base }),
    part("text", { class: "curve-text", x: LEFT - 6, y: y(high) + 4, "text-anchor": "end" }, short(high)),
    part("text", { class: "curve-text", x: LEFT - 6, y: base, "text-anchor": "end" }, short(low)),
    part("text", { class: "curve-text", x: LEFT, y: HEIGHT - 8 }, short(first)),
    part("text", { class: "curve-text", x: WIDTH - 8, y: HEIGHT - 8, "text-anchor": "end" }, `${short(last)} steps`),
    part("polyline", { class: "curve-line", points: line }),
  );
  svg.setAttribute("aria-label",
    `${name} over steps: from ${short(values[0])} to ${short(values.at(-1))} at ${short(last)} steps`);
}
