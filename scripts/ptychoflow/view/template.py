"""Layout and style of the page; Bokeh puts its code, and the plots by their names, into it."""

TEMPLATE = """
{% block preamble %}
<script>document.documentElement.dataset.theme =
  matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";</script>
<meta name="viewport" content="width=device-width">
<style>
:root {--paper: #fff; --ink: #1d2733; --faint: #5c6b7a; --line: #d5dce3; --card: #f5f7f9; --doubt: #fff4d6;
  --doubt-line: #d99a00; --accent: #0b65c2; color-scheme: light}
:root[data-theme=dark] {--paper: #14181d; --ink: #e6ebf0; --faint: #9aa8b5; --line: #39434d; --card: #1c2229;
  --doubt: #3a2e0a; --doubt-line: #e0a526; --accent: #6db3ff; color-scheme: dark}
:root {--bk-text-color: var(--ink); --bk-axis-label-text-color: var(--faint); --bk-major-label-text-color: var(--faint);
  --bk-title-text-color: var(--faint); --bk-axis-line-color: var(--faint); --bk-major-tick-line-color: var(--faint);
  --bk-minor-tick-line-color: var(--line); --bk-grid-line-color: var(--line); --bk-outline-line-color: var(--line)}
html, body {background: var(--paper)}
main {margin: 0 auto; padding: 1rem 1.2rem 3rem; max-width: 1400px; color: var(--ink);
  font: 14px/1.5 system-ui, sans-serif}
header {display: flex; align-items: baseline; gap: 1rem; flex-wrap: wrap}
h1 {font-size: 1.35rem; margin: 0} h2 {font-size: 1.05rem; margin: 1.6rem 0 .5rem; border-top: 1px solid var(--line);
  padding-top: .8rem}
.keys {color: var(--faint); margin-left: auto} kbd {border: 1px solid var(--line); border-radius: 3px; padding: 0 .35em;
  background: var(--card); font: inherit; font-size: .9em}
button, select {font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 4px; padding: .1rem .6rem}
:focus-visible {outline: 2px solid var(--accent); outline-offset: 1px}
.row {display: flex; flex-wrap: wrap; gap: .8rem 1rem; align-items: flex-start}
.card {width: 440px; max-width: 100%} .card > .below {padding: 0 40px 0 55px}
.wide {flex: 1 1 400px; min-width: 0}
.doubts {background: var(--doubt); border-left: 4px solid var(--doubt-line); padding: .5rem .9rem; margin: .8rem 0}
.doubts p {margin: .2rem 0} .sound {color: var(--faint)}
table {border-collapse: collapse} th, td {text-align: left; padding: .2em 1em .2em 0; vertical-align: top;
  border-bottom: 1px solid var(--line)} th {font-weight: normal; color: var(--faint)} td {overflow-wrap: anywhere}
pre {overflow: auto; max-height: 60vh; background: var(--card); padding: .8rem; font-size: 12px}
.hint {color: var(--faint); margin: .2rem 0} .fields {display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-end}
</style>
{% endblock %}
{% block contents %}
{%- from macros import embed with context %}
{%- macro scan() %}<div class="card">{{ embed(roots.scan) }}<div class="below">{{ embed(roots.misfit_scale) }}
<p class="hint">Diamonds are frames held out.</p></div></div>{% endmacro %}
{%- macro table(rows) %}<table>{% for name, value in rows %}
<tr><th scope="row">{{ name|e }}</th><td>{{ value|e }}</td></tr>{% endfor %}</table>{% endmacro %}
<main><header><h1>{{ title|e }}</h1>
<span class="keys"><kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom · <kbd>←</kbd> <kbd>↑</kbd> <kbd>→</kbd> <kbd>↓</kbd>
move · <kbd>p</kbd> <kbd>n</kbd> frame before, next · <kbd>w</kbd> worst · <kbd>d</kbd> dark</span>
<button id="theme" type="button">Dark</button></header>
{% if doubts %}<div class="doubts" role="alert"><strong>Doubtful</strong>{% for sentence in doubts %}
<p>{{ sentence|e }}.</p>{% endfor %}</div>
{% else %}<p class="sound">Nothing is doubtful about this result.</p>{% endif %}
<section aria-label="object"><div class="row">
{% for map in maps %}
{% if loop.index0 == 2 %}{{ scan() }}{% endif %}
<div class="card">{{ embed(roots["map" ~ map.number]) }}<div class="below">
{{ embed(roots["scale" ~ map.number]) }}
<label>colours <select data-map="{{ map.number }}">{% for name in palettes %}
<option{% if name == map.colours %} selected{% endif %}>{{ name }}</option>{% endfor %}</select></label></div></div>
{% endfor %}
{% if maps|length == 2 %}{{ scan() }}{% endif %}
</div>
{% if binning > 1 %}
<p class="hint">A pixel of the pictures is the mean of {{ binning }}×{{ binning }} of the object's.</p>{% endif %}
</section>
<section aria-label="profile"><h2>Profile</h2>
<div class="fields"><span class="hint">Click two points in a picture, or say where:</span>
{{ embed(roots.x0) }}{{ embed(roots.y0) }}{{ embed(roots.x1) }}{{ embed(roots.y1) }}
<strong id="length" role="status"></strong></div>
<div class="row"><div class="wide">{{ embed(roots.profile0) }}</div>
<div class="wide">{{ embed(roots.profile1) }}</div></div>
</section>
<section aria-label="frame"><h2>Patterns</h2>
<p id="frame-facts" role="status"></p>
<div class="row"><div class="card">{{ embed(roots.measured) }}</div><div class="card">{{ embed(roots.modelled) }}</div>
<div class="wide">{{ embed(roots.frame) }}{{ embed(roots.pattern_scale) }}
<p class="hint">Both on one logarithmic scale, in {{ steps }} steps; bad pixels of the detector are blue-grey.
{% if pattern_binning > 1 %}
A pixel is the mean of {{ pattern_binning }}×{{ pattern_binning }} of the detector's.{% endif %}
{% if pattern_count < count %}
This page has the patterns of {{ pattern_count }} of {{ count }} frames: those explained worst, and others spread
evenly; points of the rest are pale.{% endif %}</p>
{{ table(scores) }}
</div></div></section>
<section aria-label="probe"><h2>Probe</h2><div class="row">
{% for number in modes %}<div>{{ embed(roots["mode" ~ number]) }}</div>{% endfor %}
<div>{{ embed(roots.powers) }}</div></div>
<p class="hint">Amplitude on the left, each from none to its largest; on the right the phase, a whole circle in cyclic
colours, which fades where there is no light.</p></section>
<section aria-label="curves"><h2>Resolution and iterations</h2><div class="row">
<div class="wide">{% if "correlation" in names %}{{ embed(roots.correlation) }}{% else %}
<p class="hint">No ring correlation: there are no two images that know nothing of each other, or no square of 16
pixels.</p>
{% endif %}</div>
<div class="wide">{% if "deviance" in names %}{{ embed(roots.deviance) }}{% else %}
<p class="hint">This method keeps no deviance by iteration.</p>{% endif %}</div></div></section>
<section aria-label="provenance"><h2>Where it comes from</h2>
{{ table(facts) }}
<details><summary>The whole record</summary><pre>{{ record|e }}</pre></details></section>
</main>
<script type="application/json" id="data">{{ data }}</script>
{% endblock %}
"""
