"""The template of a search's page, for jinja2."""

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>masklet tune: {{ r.family }} {{ r.variant }}, {{ '%.1f' | format(r.target_ms) }} ms</title><style>
:root { --paper: #fbfbf9; --card: #fff; --text: #20252b; --soft: #66707a; --rule: #e3e5e4; --accent: #3b76d6;
  --good: #2a8a4a; --bad: #c0392b; --fits: #2a8a4a14 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --card: #1c2024; --text: #e4e7ea; --soft: #98a2ac;
  --rule: #31373d; --accent: #6d9df0; --good: #63c184; --bad: #ef7d70; --fits: #63c18420 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 1080px; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0 0 2px; font-size: 24px } h2 { margin: 0 0 8px; font-size: 17px }
p { margin: 0 0 6px } .soft { color: var(--soft); font-size: 13px }
.card { margin: 0 0 14px; padding: 14px 16px; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 16px 0 }
.tiles .card { margin: 0 } .tiles b { display: block; font-size: 22px; font-variant-numeric: tabular-nums }
.tiles span { color: var(--soft); font-size: 13px }
.verdict { border-left: 4px solid var(--good); padding-left: 12px; margin: 8px 0 12px }
.verdict.bad { border-color: var(--bad) }
table { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th { font-weight: 500; color: var(--soft) } th, td { padding: 4px 8px; text-align: right; white-space: nowrap }
td.words, th.words { text-align: left; white-space: normal } tr + tr td { border-top: 1px solid var(--rule) }
tr.chosen td { color: var(--good); font-weight: 600 } tr.front td.words { color: var(--accent) }
svg { width: 100%; height: auto; display: block } svg text { font: 11px system-ui, sans-serif; fill: var(--soft) }
svg line { stroke: var(--rule) } svg polyline { fill: none; stroke: var(--accent); stroke-width: 1.5 }
svg circle { fill: var(--card); stroke: var(--soft); stroke-width: 1.5 } svg .front circle { fill: var(--accent);
  stroke: var(--accent) } svg .chosen circle { fill: var(--good); stroke: var(--good) } svg .fits { fill: var(--fits) }
svg g:hover circle { stroke-width: 4 }
figure { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 4px; margin: 0 0 14px }
figure img { width: 100%; border-radius: 4px } figcaption { grid-column: 1 / -1; color: var(--soft); font-size: 13px }
code { font-size: 13px; overflow-wrap: anywhere }
</style></head><body>
<h1>{{ r.family }} {{ r.variant }} in {{ '%.1f' | format(r.target_ms) }} ms a frame</h1>
<p class="soft">{{ r.bundles | join(', ') }}; {{ r.objects }} object{{ '' if r.objects == 1 else 's' }} in
{{ r.sources | join(', ') }}. {{ words }}{% if r.by == 'IoU' %}: being as wrong as the exact pipeline counts as
right{% endif %}.</p>
<div class="tiles">
{% for value, name in tiles %}<div class="card"><b>{{ value }}</b><span>{{ name }}</span></div>{% endfor %}
</div>
{% if sentence %}<p class="verdict">{{ sentence }}</p>{% else %}
<div class="verdict bad"><p>Nothing fits: {{ r.limits }}.</p><p>The closest points:</p><ul>
{% for row in r.closest %}<li>{{ row.name }}: {{ '%.1f' | format(row.ms) }} ms, {{ '%+.2f' | format(row.loss) }} points
lost</li>{% endfor %}</ul></div>{% endif %}
{% if r.measured.busy %}<p class="verdict bad">The machine was busy while this was measured: times mean little.</p>
{% endif %}
<section class="card"><h2>Latency against accuracy</h2>{{ chart }}
<p class="soft">Every point that was tried, by its number in the table below; shaded: what was asked for. Blue: the
front, the points than which no other is faster and more accurate. Point over one for what it is. Losses beyond the
chart lie on its lower edge.</p></section>
<section class="card"><h2>What each knob does alone</h2>
<table><tr><th class="words">knob</th><th class="words">choice</th><th>ms</th><th>times as fast</th>
<th>{{ r.by }} lost</th><th>IoU</th></tr>
{% for one in r.alone %}<tr><td class="words">{{ one.knob }}</td><td class="words">{{ one.row.name }}</td>
<td>{{ '%.1f' | format(one.row.ms) }}</td><td>{{ '%.2f' | format(one.speed) }}</td>
<td>{{ '%+.2f' | format(one.row.loss) }}</td><td>{{ '%.4f' | format(one.row.iou) }}</td></tr>{% endfor %}</table>
<p class="soft">All other knobs as in the exact pipeline, {{ r.exact.name }}, {{ '%.1f' | format(r.exact.ms) }} ms. On
the part that was searched.</p></section>
{% if stages %}<section class="card"><h2>Where the time goes</h2>
<table><tr><th class="words">stage</th><th>exact, ms a frame</th><th>chosen, ms a frame</th>
<th class="words">runs on</th></tr>{% for name, exact, chosen, place in stages %}<tr><td class="words">{{ name }}</td>
<td>{{ '%.2f' | format(exact) }}</td><td>{{ '%.2f' | format(chosen) }}</td><td class="words">{{ place }}</td></tr>
{% endfor %}</table></section>{% endif %}
{% if pictures %}<section class="card"><h2>The worst frames: exact, chosen, and the difference</h2>
{% for name, full, low, differ in pictures %}<figure><img alt="exact" src="{{ full }}"><img alt="chosen"
src="{{ low }}"><img alt="difference" src="{{ differ }}"><figcaption>{{ name }}</figcaption></figure>{% endfor %}
<p class="soft">Red: only in the exact pipeline's mask; blue: only in the chosen point's.</p></section>{% endif %}
<section class="card"><h2>Points</h2>
<table><tr><th></th><th class="words">choice</th><th>ms</th><th>95 of 100</th><th>predicted</th>
<th>{{ r.by }} lost</th><th>J&amp;F</th><th>IoU</th><th class="words">on what</th></tr>
{% for number, row in numbered %}<tr class="{{ 'chosen' if r.chosen and row.name == r.chosen.name else 'front'
if row.name in on_front else '' }}"><td>{{ number }}</td><td class="words">{{ row.name }}</td>
<td>{{ '%.1f' | format(row.ms) }}</td>
<td>{{ '%.1f' | format(row.p95) }}</td>
<td>{{ '' if row.predicted_ms is none else '%.1f' | format(row.predicted_ms) }}</td>
<td>{{ '%+.2f' | format(row.loss) }}</td><td>{{ '' if row.jf is none else '%.2f' | format(row.jf) }}</td>
<td>{{ '%.4f' | format(row.iou) }}</td>
<td class="words">{{ 'proved' if row.proved else 'searched' }}</td></tr>{% endfor %}
</table>{% if r.error is not none %}<p class="soft">Predicted and measured latency differ by
{{ '%.1f' | format(100 * r.error) }} % (median).</p>{% endif %}</section>
<p class="soft">{{ r.measured }}</p>
<p class="soft">To run it again: <code>{{ r.measured.command }}</code></p>
</body></html>
"""
