"""How reports look: light and dark, on a screen, a telephone and paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --mark: #3b7dd8; --dim: #5c5c5c; }
@media (prefers-color-scheme: dark) { :root { --dim: #b4b4b4; } }
html { background: Canvas; color: CanvasText; } * { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 76rem; margin: .9rem auto 4rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .4rem; } h1, h2, h3, p, li { overflow-wrap: anywhere; }
header + main > section:first-of-type > h2 { margin-top: .7rem; }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .88rem; padding: .1rem 0 .2rem; }
a { color: inherit; text-decoration-color: var(--line); overflow-wrap: anywhere; }
p { max-width: 60rem; margin: .6rem 0; }
.lead { border-left: 4px solid var(--mark); background: var(--soft); padding: .1rem 1rem; margin: .5rem 0 .7rem; }
.lead p { margin: .4rem 0; } .lead strong { font-size: 1.08rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .22rem 1.1rem .22rem 0; text-align: left; vertical-align: top; }
td { white-space: nowrap; } th { overflow-wrap: break-word; max-width: 22rem; } tbody th { min-width: 7rem; }
thead th { border-bottom: 1px solid; vertical-align: bottom; } tbody th { font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--soft); }
td small { color: var(--dim); font-size: .85em; }
.facts th { font-weight: 400; color: var(--dim); }
.facts td { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
details { margin: .6rem 0; } summary { cursor: pointer; width: fit-content; } summary:hover { color: var(--mark); }
details[open] > summary { margin-bottom: .4rem; }
figure { margin: .4rem 0; } figcaption { font-size: .85rem; color: var(--dim); max-width: 60rem; }
figcaption { overflow-wrap: anywhere; }
img { max-width: 100%; display: block; } img.coarse { image-rendering: pixelated; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 15rem), 1fr)); gap: .6rem; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.gallery img { width: 100%; } .gallery figure { margin: 0; min-width: 0; }
.legend { display: flex; gap: .8rem; max-width: 44rem; margin: .4rem 0 .8rem; font-size: .8rem; line-height: 1.2; }
.legend > div { flex: 1; } .bar { height: .7rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.marks { display: flex; white-space: nowrap; justify-content: space-between; gap: .3rem; padding-top: .15rem; }
svg { max-width: 46rem; width: 100%; height: auto; display: block; } .plot svg { min-width: 30rem; }
.plot { margin-bottom: 1.2rem; }
@media (min-width: 48rem) { .row { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); } }
@media (min-width: 62rem) { .plot { display: inline-block; width: 49%; vertical-align: top; } }
@media (max-width: 30rem) {
  td small { display: block; } .legend { flex-direction: column; gap: .2rem; }
  th, td { padding-right: .8rem; } .facts td { min-width: 10rem; } .facts th { min-width: 5rem; }
}
@media print {
  :root { color-scheme: light; --dim: #444; } body { margin: 0; max-width: none; font-size: 10pt; }
  nav { display: none; }
  .scroll { overflow: visible; } td { white-space: normal; } td small { display: block; white-space: nowrap; }
  .plot svg { min-width: 0; }
  figure, tr, .lead { break-inside: avoid; } h2, h3, summary { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{index}</header>
<main>
{body}
</main>
</body>
</html>
"""
