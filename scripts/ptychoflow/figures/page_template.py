"""The page that compares results, without its data: HTML, its style, and the code that draws it."""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>All results</title>
<meta name="viewport" content="width=device-width">
<style>
body {font: 14px/1.4 sans-serif; margin: 1rem; color: #111; background: #fff}
h1 {font-size: 1.3rem; margin: 0 0 .5rem} h2 {font-size: 1.1rem; margin: 1rem 0 .3rem}
.bar {display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; align-items: center; margin: .4rem 0}
.bar label {display: flex; gap: .5rem; align-items: center} input[type=range] {width: 14rem}
#list {max-height: 45vh; overflow: auto; border: 1px solid #bbb}
table {border-collapse: collapse} td, th {padding: .2em .7em; text-align: left; white-space: nowrap}
thead th {position: sticky; top: 0; background: #eee; padding: 0}
thead th.plain {padding: .2em .7em} tbody tr:nth-child(even) {background: #f6f6f6}
tr.chosen {background: #dcebff !important}
th button {font: inherit; font-weight: bold; border: 0; background: none; padding: .3em .7em; cursor: pointer;
width: 100%; text-align: left} :focus-visible {outline: 3px solid #06c; outline-offset: -2px}
#images {display: flex; flex-wrap: wrap; gap: 1rem} figure {margin: 0; max-width: 340px}
figure img {display: block; width: 320px; image-rendering: pixelated; background: #ddd; margin-bottom: .3rem}
figcaption {font-size: .9em} .none {width: 320px; padding: 2rem 0; text-align: center; background: #eee}
.sr {position: absolute; left: -9999px}
a {color: #06c}
@media (prefers-color-scheme: dark) {body {background: #1b1b1b; color: #eee} thead th {background: #333}
tbody tr:nth-child(even) {background: #242424} tr.chosen {background: #173a66 !important} th button {color: inherit}
.none {background: #333} a {color: #6db3ff}}
</style></head>
<body>
<h1>All results</h1>
<div class="bar">
<label>Dataset <input type="range" id="dataset" min="0" value="0"><output id="dataset-name"></output></label>
<label>Epoch <input type="range" id="epoch" min="0" value="0"><output id="epoch-name"></output></label>
<label>Filter <input type="search" id="filter" placeholder="words, such as unet seed1"></label>
<button id="clear">Choose none</button><span id="count" role="status"></span>
</div>
<div id="list"><table><thead><tr id="head"></tr></thead><tbody id="body"></tbody></table></div>
<h2>Side by side</h2><p id="scale"></p><div id="images"></div>
<h2>Scores</h2><div id="scores"></div>
<h2>Settings that differ</h2><div id="settings"></div>
<script type="application/json" id="data">{{data}}</script>
<script>
"use strict";
const $ = id => document.getElementById(id), {runs, scores, limits} = JSON.parse($("data").textContent);
const order = (a, b) => a.localeCompare(b, undefined, {numeric: true});
const datasetsOf = run => [...Object.keys(run.scores), ...Object.keys(run.images)];
const datasets = [...new Set(runs.flatMap(datasetsOf))].sort(order);
const chosen = new Set(), columns = ["name", "method", ...scores];
let sorted = {column: "name", up: true}, epochs = [];
const text = value => value === null || value === undefined ? "" : typeof value === "number" && !Number.isInteger(value)
  ? String(Number(value.toPrecision(4))) : typeof value === "object" ? JSON.stringify(value) : String(value);
const dataset = () => datasets[$("dataset").value];
const valueOf = (run, column) => column === "name" || column === "method" ? run[column]
  : (run.scores[dataset()] || {})[column];
function element(kind, content, parent, attributes) {
  const made = document.createElement(kind);
  if (content !== undefined) made.textContent = content;
  for (const key in attributes || {}) made.setAttribute(key, attributes[key]);
  if (parent) parent.append(made);
  return made;
}
const rows = runs.map(run => {
  const row = element("tr");
  const attributes = {type: "checkbox", "aria-label": "choose " + run.name};
  const box = element("input", undefined, element("td", undefined, row), attributes);
  box.addEventListener("change", () => { box.checked ? chosen.add(run) : chosen.delete(run); choose(); });
  const cells = columns.map(() => element("td", undefined, row));
  const settings = Object.entries(run.settings).map(([key, value]) => key + "=" + text(value));
  const words = [run.name, run.method, ...settings].join(" ").toLowerCase();
  return {run, row, box, cells, words};
});
function head() {
  element("th", undefined, $("head"), {class: "plain"}).append(element("span", "chosen", null, {class: "sr"}));
  for (const column of columns) {
    const cell = element("th", undefined, $("head"), {scope: "col", "data-column": column});
    element("button", column.replaceAll("_", " "), cell).addEventListener("click", () => {
      sorted = {column, up: sorted.column === column ? !sorted.up : column === "name" || column === "method"};
      list();
    });
  }
}
function list() {
  for (const cell of document.querySelectorAll("#head [data-column]"))
    cell.setAttribute("aria-sort",
      cell.dataset.column !== sorted.column ? "none" : sorted.up ? "ascending" : "descending");
  const words = $("filter").value.toLowerCase().split(/\\s+/).filter(Boolean), way = sorted.up ? 1 : -1;
  const compare = (a, b) => {
    const [x, y] = [a, b].map(entry => valueOf(entry.run, sorted.column));
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return way * (typeof x === "number" ? x - y : order(String(x), String(y)));
  };
  const shown = rows.filter(entry => words.every(word => entry.words.includes(word))).sort(compare);
  for (const {run, cells} of shown)
    columns.forEach((column, i) => { cells[i].textContent = text(valueOf(run, column)); });
  $("body").replaceChildren(...shown.map(entry => entry.row));
  $("count").textContent = shown.length + " of " + runs.length + " results, " + chosen.size + " chosen";
}
function choose() {
  for (const {run, row, box} of rows) {
    row.className = chosen.has(run) ? "chosen" : "";
    box.checked = chosen.has(run);
  }
  $("count").textContent = $("count").textContent.replace(/\\d+ chosen/, chosen.size + " chosen");
  frames(); update();
}
function update() {
  const all = new Set([...chosen].flatMap(run => Object.keys(run.images[dataset()] || {})));
  const before = epochs[$("epoch").value];
  epochs = [...all].sort((a, b) => (a === "end") - (b === "end") || a - b);
  $("epoch").max = Math.max(0, epochs.length - 1);
  $("epoch").value = epochs.includes(before) ? epochs.indexOf(before) : epochs.length - 1;
  images(); scoreTable(); settingTable();
}
let figures = [];
function frames() {
  $("images").replaceChildren();
  figures = [...chosen].map(run => {
    const figure = element("figure", undefined, $("images"));
    const pictures = ["amplitude", "phase"].map(
      part => element("img", undefined, figure, {alt: part + " of " + run.name}));
    const none = element("div", "no image", figure, {class: "none"});
    return {run, pictures, none, caption: element("figcaption", "", figure)};
  });
}
function images() {
  const wanted = epochs[$("epoch").value], name = dataset();
  $("dataset-name").textContent = name || "";
  $("epoch-name").textContent = wanted === undefined ? "" : wanted;
  for (const {run, pictures, none, caption} of figures) {
    const known = run.images[name] || {};
    // A run without an image of this epoch shows the last before it.
    const upTo = epochs.slice(0, Number($("epoch").value) + 1).filter(epoch => epoch in known);
    const epoch = upTo[upTo.length - 1];
    none.hidden = epoch !== undefined;
    pictures.forEach((picture, i) => {
      picture.hidden = epoch === undefined;
      const file = epoch === undefined ? "" : known[epoch][["amplitude", "phase"][i]];
      if (file && picture.dataset.key !== name + epoch) picture.src = "data:image/webp;base64," + file;
      picture.dataset.key = name + epoch;
    });
    caption.textContent = run.name + (epoch === undefined ? "" : epoch === "end" ? ", at the end" : ", epoch " + epoch);
    // Within a report, this page stands at no place from which others could be found.
    if (name in run.pages && !/^(data|blob|about):$/.test(location.protocol))
      caption.append(" · ", element("a", "look at it", null, {href: run.pages[name]}));
  }
  const scale = limits[name];
  $("scale").textContent = !scale ? "" : scale.amplitude[0] === scale.amplitude[1]
    ? "Images as the training drew them, on the scale of the true object where that is known."
    : "Amplitude: black 0, white " + text(scale.amplitude[1]) + ". Phase: black " + text(scale.phase[0])
      + " rad, white " + text(scale.phase[1]) + " rad, against each image's mean.";
}
function table(parent, names, valueFor, differing) {
  const all = [...chosen], kept = names.filter(name => !differing
    || new Set(all.map(run => JSON.stringify(valueFor(run, name)) || "")).size > 1);
  parent.replaceChildren();
  if (!all.length || !kept.length) { parent.textContent = all.length ? "none" : "nothing is chosen"; return; }
  const made = element("table", undefined, parent), top = element("tr", undefined, element("thead", undefined, made));
  element("th", "", top, {class: "plain"});
  for (const run of all) element("th", run.name, top, {class: "plain", scope: "col"});
  const body = element("tbody", undefined, made);
  for (const name of kept) {
    const row = element("tr", undefined, body);
    element("th", name, row, {scope: "row"});
    for (const run of all) element("td", text(valueFor(run, name)), row);
  }
}
const scoreTable = () => table($("scores"), scores, valueOf, false);
const settingNames = () => [...new Set([...chosen].flatMap(run => Object.keys(run.settings)))].sort(order);
const settingTable = () => table($("settings"), settingNames(), (run, name) => run.settings[name], true);
$("dataset").max = Math.max(0, datasets.length - 1);
$("dataset").addEventListener("input", () => { list(); update(); });
$("epoch").addEventListener("input", images);
$("filter").addEventListener("input", list);
$("clear").addEventListener("click", () => { chosen.clear(); choose(); list(); });
const first = datasets.findIndex(name => runs.some(run => name in run.scores));
$("dataset").value = Math.max(0, first);
head(); list(); choose();
</script></body></html>
"""
