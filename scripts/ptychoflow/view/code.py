"""Code of the page in the browser: it unpacks what is shown, and joins plots, sliders and keys."""

CODE = """
export default ({models: given}) => {
const models = given instanceof Map ? Object.fromEntries(given) : given;
const $ = id => document.getElementById(id), data = JSON.parse($("data").textContent);
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
// Bokeh's own kind of array, of which its sources come with one.
const Picture = models.image0.data.image[0].constructor;
const show = (source, values, rows, columns) => { source.data = {image: [new Picture(values, [rows, columns])]}; };
const NONE = 65535;
const maps = data.maps.map(({codes, shape: [rows, columns], ends: [low, high]}, number) => {
  const steps = new Uint16Array(bytes(codes).buffer), values = new Float32Array(steps.length);
  for (let i = 0; i < steps.length; i++)
    values[i] = steps[i] === NONE ? NaN : low + steps[i] * (high - low) / (NONE - 1);
  show(models["image" + number], values, rows, columns);
  return {values, rows, columns};
});

// Values along the line, between pixels by their four neighbours.
function along({values, rows, columns}, y, x) {
  const row = y - .5, column = x - .5, top = Math.floor(row), left = Math.floor(column);
  if (top < 0 || left < 0 || top + 1 >= rows || left + 1 >= columns) return NaN;
  const at = (r, c) => values[r * columns + c], down = row - top, right = column - left;
  return (1 - down) * ((1 - right) * at(top, left) + right * at(top, left + 1))
    + down * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1));
}
const ends = ["x0", "y0", "x1", "y1"];
let drawn = null;
function profile([x0, y0, x1, y1]) {
  drawn = [x0, y0, x1, y1];
  models.line.data = {x: [x0, x1], y: [y0, y1]};
  const length = Math.hypot(x1 - x0, y1 - y0), count = Math.max(2, Math.ceil(2 * length / data.pixel));
  const [top, left] = data.origin;
  maps.slice(0, 2).forEach((map, number) => {
    const distance = new Float32Array(count), value = new Float32Array(count);
      for (let i = 0; i < count; i++) {
      const share = i / (count - 1);
      distance[i] = 1000 * share * length;
      const y = y0 + share * (y1 - y0) - top, x = x0 + share * (x1 - x0) - left;
      value[i] = along(map, y / data.pixel, x / data.pixel);
    }
    models["profile" + number].data = {distance, value};
  });
  $("length").textContent = (1000 * length).toFixed(1) + " nm long";
  ends.forEach((name, i) => { models[name].value = Number(drawn[i].toFixed(4)); });
}
let first = null;
for (let number = 0; number < maps.length; number++)
  models["map" + number].on_event("tap", ({x, y}) => {
    if (first === null) {
      first = [x, y];
      models.line.data = {x: [x], y: [y]};
      $("length").textContent = "click where the line ends";
    } else { profile([...first, x, y]); first = null; }
  });
for (const [i, name] of ends.entries())
  models[name].properties.value.change.connect(() => {
    const value = models[name].value;
    if (value === null || drawn === null || Math.abs(value - drawn[i]) < 1e-4) return;
    profile(drawn.map((old, j) => j === i ? value : old));
  });
profile([models.x0.value, models.y0.value, models.x1.value, models.y1.value]);

// Patterns of a frame.
const placeOf = new Map(data.patterns.frames.map((frame, place) => [frame, place]));
const frames = models.frames.data, count = frames.number.length, canvas = document.createElement("canvas");
const context = canvas.getContext("2d", {willReadFrequently: true});
let wanted = -1;
async function choose(frame) {
  if (frame === wanted) return;
  wanted = frame;
  models.frame.value = frame;
  models.frames.selected.indices = [frame];
  const [x, y] = [frames.x[frame], frames.y[frame]].map(value => value.toFixed(3));
  $("frame-facts").textContent = `Frame ${frame} at (${x}, ${y}) µm, ${frames.kind[frame]}: `
    + `deviance ${frames.deviance[frame].toPrecision(4)}, misfit ${frames.misfit[frame].toPrecision(4)}.`
    + (placeOf.has(frame) ? "" : " Its pattern is not in this page: choose a bright point.");
  const parts = [models.measured, models.modelled];
  if (!placeOf.has(frame)) {
    for (const part of parts) show(part, new Float32Array([NaN]), 1, 1);
    return;
  }
  const image = new Image();
  image.src = "data:image/webp;base64," + data.patterns.images[placeOf.get(frame)];
  await image.decode();
  if (frame !== wanted) return;
  const edge = image.height;
  canvas.width = 2 * edge; canvas.height = edge;
  context.drawImage(image, 0, 0);
  const levels = context.getImageData(0, 0, 2 * edge, edge).data;
  parts.forEach((part, side) => {
    const values = new Float32Array(edge * edge);
    for (let row = 0; row < edge; row++)
      for (let column = 0; column < edge; column++) {
        const level = levels[4 * (row * 2 * edge + side * edge + column)];
        values[row * edge + column] = level === 0 ? NaN : (level - 1) / data.patterns.steps * data.patterns.top;
      }
    show(part, values, edge, edge);
  });
  document.documentElement.dataset.frame = frame;
}
models.frames.selected.properties.indices.change.connect(() => {
  const [frame] = models.frames.selected.indices;
  if (frame !== undefined) choose(frame); else if (wanted >= 0) models.frames.selected.indices = [wanted];
});
models.frame.properties.value.change.connect(() => choose(models.frame.value));
let worst = data.patterns.frames[0];
for (const frame of data.patterns.frames) if (frames.misfit[frame] > frames.misfit[worst]) worst = frame;
const step = by => choose(Math.min(count - 1, Math.max(0, wanted + by)));

// Colours of the pictures.
for (const list of document.querySelectorAll("select[data-map]"))
  list.addEventListener("change", () => {
    const number = list.dataset.map;
    models["mapper" + number].palette = data.palettes[list.value];
    if (list.value.startsWith("twilight")) models["scale" + number].value = [-Math.PI, Math.PI];
  });

// Zoom, pan and keys.
const ranges = [models.x_range, models.y_range], home = ranges.map(range => [range.start, range.end]);
const zoom = factor => ranges.forEach(range => {
  const middle = (range.start + range.end) / 2, half = (range.end - range.start) / 2 * factor;
  range.setv({start: middle - half, end: middle + half});
});
const pan = (right, down) => ranges.forEach((range, i) => {
  const by = (range.end - range.start) * (i === 0 ? right : -down);
  range.setv({start: range.start + by, end: range.end + by});
});
const reset = () => ranges.forEach((range, i) => range.setv({start: home[i][0], end: home[i][1]}));
function paint(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const root of Bokeh.documents[0].roots()) Bokeh.index.get_by_id(root.id)?.request_repaint?.();
}
const turn = () => paint(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("theme").addEventListener("click", turn);
const keys = {"+": () => zoom(.8), "=": () => zoom(.8), "-": () => zoom(1.25), "0": reset, n: () => step(1),
  p: () => step(-1), w: () => choose(worst), d: turn, ArrowLeft: () => pan(-.1, 0), ArrowRight: () => pan(.1, 0),
  ArrowUp: () => pan(0, .1), ArrowDown: () => pan(0, -.1)};
document.addEventListener("keydown", event => {
  const target = event.composedPath().find(part => part instanceof Element) ?? document.body;
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  if (target.closest("input, select, textarea, [role=slider], summary, .bk-canvas-events")) {
    if (event.key.startsWith("Arrow") || target.closest("input, select, textarea")) return;
  }
  event.preventDefault();
  keys[event.key]();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => paint(event.matches ? "dark" : "light"));
$("theme").textContent = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark";
choose(worst).then(() => { document.documentElement.dataset.ready = Math.round(performance.now()); });
}
"""
