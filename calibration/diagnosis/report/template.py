"""The page's template, for jinja2."""

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>masklet diagnose: {{ r.source }}</title><style>
:root { --paper: #fbfbf9; --card: #fff; --text: #20252b; --soft: #66707a; --rule: #e3e5e4; --accent: #3b76d6;
  --good: #2a8a4a; --bad: #c0392b; --warn: #b9770e; --shade: #c0392b22; --absent: #66707a22 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --card: #1c2024; --text: #e4e7ea; --soft: #98a2ac;
  --rule: #31373d; --accent: #6d9df0; --good: #63c184; --bad: #ef7d70; --warn: #e0a546; --shade: #ef7d7033;
  --absent: #98a2ac22 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 1120px; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0 0 2px; font-size: 24px } h2 { margin: 0 0 8px; font-size: 17px }
h3 { margin: 14px 0 4px; font-size: 14px }
p { margin: 0 0 6px } .soft, .card > p.soft { color: var(--soft); font-size: 13px }
.card { margin: 0 0 14px; padding: 14px 16px; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 16px 0 }
.tiles .card { margin: 0 } .tiles b { display: block; font-size: 22px; font-variant-numeric: tabular-nums }
.tiles span { color: var(--soft); font-size: 13px }
.verdict { border-left: 4px solid var(--bad); padding-left: 12px; margin: 4px 0 10px }
.silent { border-color: var(--warn) }
.well { border-color: var(--good) }
ul { margin: 2px 0 8px; padding-left: 20px } code { font-size: 13px }
.film { border-collapse: separate; border-spacing: 4px }
.film th { font-weight: 500; color: var(--soft); font-size: 12px;
  text-align: left } .film td { padding: 0; vertical-align: top } .film img { display: block; border-radius: 4px;
  width: 100%; min-width: 110px } .film td.n { padding-right: 6px; color: var(--soft); font-size: 12px }
.film .way th + th + th::before { content: "→ "; color: var(--soft) }
.film td.n.at { color: var(--bad); font-weight: 600 }
.film td.none { vertical-align: middle; text-align: center; color: var(--soft); font-size: 12px }
.numbers { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
.numbers th { font-weight: 500; color: var(--soft) } .numbers th, .numbers td { padding: 4px 8px; text-align: right }
.numbers th:first-child, .numbers td:first-child, td.words { text-align: left } .numbers tr + tr td {
  border-top: 1px solid var(--rule) }
.numbers td.heat { background: color-mix(in srgb, var(--bad) calc((1 - var(--v)) * 60%), transparent) }
svg { width: 100%; height: auto; display: block } svg text { font: 10px system-ui, sans-serif; fill: var(--soft) }
svg text.name { font-size: 12px; fill: var(--text) } svg line { stroke: var(--rule) }
svg polyline { fill: none; stroke: var(--accent); stroke-width: 2 } svg .soft { stroke: var(--soft); stroke-width: 1 }
svg .refit { stroke: var(--accent); stroke-width: 1; stroke-dasharray: 3 3 }
svg .breakdown { fill: var(--shade) } svg .silent { fill: #e0a54633 } svg .absent { fill: var(--absent) }
svg .p0 { stroke: #3b76d6 } svg .p1 { stroke: #2a8a4a } svg .p2 { stroke: #b9770e } svg .p3 { stroke: #8e44ad }
svg .p4 { stroke: #c0392b } .key i { display: inline-block; width: 18px; height: 3px; vertical-align: middle;
  margin: 0 4px 0 10px }
details { margin-top: 8px } summary { cursor: pointer; color: var(--accent) }
</style></head><body>
{% macro show(value) %}{{ '' if value is none else '%.2f' | format(value) }}{% endmacro %}
{% macro told(film) %}
{% if film.finding %}<div class="verdict {{ film.finding.verdict.kind }}"><p>{{ film.finding.sentence }}</p>
{% if film.finding.remedies %}<ul>{% for remedy in film.finding.remedies %}<li>{{ remedy | code }}</li>{% endfor %}</ul>
{% endif %}</div>
{% elif r.truth %}<div class="verdict well"><p>Object {{ film.object_id }} was not lost.</p></div>
{% endif %}
<table class="film"><tr class="way"><th></th>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in film.rows %}<tr>
<td class="n{{ ' at' if film.finding and row.frame == film.finding.verdict.frame }}">{{ row.frame }}</td>
{% for name in columns %}{% if name in row.pictures %}
<td><img alt="{{ name }}, frame {{ row.frame }}" src="{{ row.pictures[name] }}"></td>
{% else %}<td class="none">not run</td>{% endif %}{% endfor %}</tr>{% endfor %}</table>
{% endmacro %}
<h1>{{ r.side.family }} {{ r.side.variant }} on {{ r.source }}</h1>
<p class="soft">{{ first.frames }} frames, object{{ '' if r.objects | length == 1 else 's' }}
{{ r.objects | join(', ') }}{% if r.side.low_stages %}; {% for stage, p in r.side.low_stages.items() %}{{ stage }} in
{{ p }}{{ '' if loop.last else ', ' }}{% endfor %}{% endif %}{% if not r.truth %}; no true masks, so that nothing is
judged{% endif %}.</p>
<div class="tiles">
{% if r.truth %}<div class="card"><b>{{ show(first.j) }}</b><span>mean J</span></div>
<div class="card"><b>{{ first.breakdowns }}</b><span>times an object was lost</span></div>
<div class="card"><b>{{ first.weakest or 'none' }}</b><span>position that lost it first</span></div>
<div class="card"><b>{{ first.false }}</b><span>frames with a mask of what was out of sight</span></div>{% endif %}
</div>
{% for name, films in films.items() %}{% if loop.first %}
<section class="card"><h2>What each position knows of the object</h2>
{% for film in films %}{{ told(film) }}{% endfor %}
<p class="soft">From left to right the way of a frame. Bright: what a linear read-out takes for the object; it was
fitted on the first frame of the position. Of the mask its probability. White: the true outline. Pink: the mask.</p>
</section>
{% endif %}{% endfor %}
{% if r.truth %}<section class="card"><h2>How well the object stands out</h2>
{% for key, title in tables.items() %}<h3>{{ title }}</h3>
<table class="numbers"><tr><th>clip</th><th>J</th>{% for p in positions %}<th>{{ p }}</th>{% endfor %}<th>lost</th>
<th class="words">first at</th></tr>
{% for c in r.side.conditions %}<tr><td>{{ c.name }}</td>
<td class="heat" style="--v:{{ c.j or 0 }}">{{ show(c.j) }}</td>
{% for p in positions %}{% set v = c.positions[p][key] %}<td class="heat" style="--v:{{ 1 if v is none else v }}">
{{ show(v) }}</td>{% endfor %}<td>{{ c.breakdowns }}</td><td class="words">{{ c.weakest }}</td></tr>{% endfor %}
</table>{% endfor %}
<p class="soft">Means over objects and frames in sight. Precision: the share of the object's cells among as many cells
that score most. ROC AUC: how often a cell of the object scores more than one of the background.</p>
</section>{% endif %}
{% if r.against %}<section class="card"><h2>Against {{ r.against.family }} {{ r.against.variant }},
{{ r.against.bundle }}</h2>
<table class="numbers"><tr><th>clip</th><th>J</th>{% for p in positions %}<th>{{ p }}</th>{% endfor %}<th>lost</th></tr>
{% for c in r.side.conditions %}{% set o = others[c.name] %}<tr><td>{{ c.name }}</td>
<td>{% if o.j is not none and c.j is not none %}{{ '%+.3f' | format(o.j - c.j) }}{% endif %}</td>
{% for p in positions %}{% set a, b = c.positions[p].precision, o.positions[p].precision %}
<td>{% if a is not none and b is not none %}{{ '%+.3f' | format(b - a) }}{% endif %}</td>{% endfor %}
<td>{{ c.breakdowns }} → {{ o.breakdowns }}</td></tr>{% endfor %}</table>
<p class="soft">Differences of J and of precision at each position, the other bundle less this one.</p></section>
{% endif %}
{% if curves %}<section class="card"><h2>Frame by frame</h2>
{% for id, drawn in curves %}<h3>Object {{ id }}</h3>{% for each in drawn %}{{ each }}{% endfor %}{% endfor %}
<p class="soft key"><i style="background:var(--accent)"></i>precision, J, pointer's cosine, attention on the object
<i style="background:var(--accent);opacity:.4"></i>dashed: precision when fitted anew on each frame
<i style="background:var(--soft)"></i>ROC AUC, score, attention on pointers</p>
<p class="soft key">Distance: {% for p in positions %}{% if p != 'mask' %}<i style="background:{{ ['#3b76d6', '#2a8a4a',
'#b9770e', '', '#c0392b'][loop.index0] }}"></i>{{ p }}{% endif %}{% endfor %}. Red: lost. Grey: out of sight.</p>
</section>{% endif %}
{% if films | length > 1 %}<section class="card"><h2>Transformed</h2>
{% for name, each in films.items() %}{% if not loop.first %}<details><summary>{{ name }}</summary>
{% for film in each %}{{ told(film) }}{% endfor %}</details>{% endif %}{% endfor %}</section>{% endif %}
</body></html>
"""
