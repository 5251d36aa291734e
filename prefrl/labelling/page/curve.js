// The learning curve so far, as lines in an SVG that is drawn in the size it is shown in.

const SVG = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, BOTTOM, TOP] = [42, 8, 24, 12];

function part(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const short = (number) =>
  new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(number);

/** Draws (step, value) pairs, two at least, and says in words what is seen. */
export function drawCurve(svg, points, name) {
  const width = svg.clientWidth || 320;
  const height = Math.min(Math.max(Math.round(width * 0.6), 96), 220);
  const steps = points.map((point) => point[0]);
  const values = points.map((point) => point[1]);
  const low = Math.min(...values);
  const high = Math.max(...values, low + 1e-9);
  const first = Math.min(...steps);
  const last = Math.max(...steps, first + 1);
  const base = height - BOTTOM;
  const x = (step) => LEFT + ((step - first) / (last - first)) * (width - LEFT - RIGHT);
  const y = (value) => base - ((value - low) / (high - low)) * (base - TOP);
  const places = points.map(([step, value]) => [x(step).toFixed(1), y(value).toFixed(1)]);
  const line = places.map((place) => place.join(",")).join(" ");
  const [endX, endY] = places.at(-1);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    part("polygon", { class: "curve-area", points: `${places[0][0]},${base} ${line} ${endX},${base}` }),
    part("line", { class: "curve-axis", x1: LEFT, x2: width - RIGHT, y1: base, y2: base }),
    part("text", { class: "curve-text", x: LEFT - 6, y: y(high) + 4, "text-anchor": "end" }, short(high)),
    part("text", { class: "curve-text", x: LEFT - 6, y: base + 4, "text-anchor": "end" }, short(low)),
    part("text", { class: "curve-text", x: LEFT, y: height - 7 }, short(first)),
    part("text", { class: "curve-text", x: width - RIGHT, y: height - 7, "text-anchor": "end" }, `${short(last)} steps`),
    part("polyline", { class: "curve-line", points: line }),
    part("circle", { class: "curve-end", cx: endX, cy: endY, r: 3.5 }),
  );
  svg.setAttribute("aria-label",
    `${name} over steps: from ${short(values[0])} to ${short(values.at(-1))} at ${short(last)} steps`);
}
