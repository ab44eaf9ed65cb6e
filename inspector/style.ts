/** How the page looks: by the reader's preference dark or light, on wide windows and narrow ones. */
export const STYLE: string = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f6f7f8, #14171a);
  --pane: light-dark(#ffffff, #1b1f23);
  --line: light-dark(#dfe3e6, #2e353b);
  --text: light-dark(#1c2329, #dde3e8);
  --dim: light-dark(#5d6973, #929fa9);
  --accent: light-dark(#0b6e64, #4cc3b3);
  --chosen: light-dark(#e0f1ee, #173a37);
  --danger: light-dark(#b3261e, #ff8a80);
  --gone: light-dark(#fde8e6, #46211f);
  --come: light-dark(#ddf3e0, #1b3d25);
  --string: light-dark(#8a3c00, #f0b47c);
  --number: light-dark(#0a52a8, #8ab9ff);
  --word: light-dark(#7a2a94, #d7a1ec);
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--page);
  color: var(--text);
  font: 14px/1.45 system-ui, sans-serif;
}
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
h1 { margin: 0; font: 600 16px/1.4 var(--mono); overflow-wrap: anywhere; }
h2 { margin: 0 0 .5rem; font-size: 16px; }
p { margin: .4rem 0; }
ul, ol { margin: 0; padding: 0; list-style: none; }
pre { margin: 0; font: 12.5px/1.5 var(--mono); overflow-x: auto; }
.dim, .off { color: var(--dim); }
.empty { color: var(--dim); padding: 1rem; }
.problem { color: var(--danger); overflow-wrap: anywhere; }
button, input, select, textarea {
  font: inherit;
  color: inherit;
  background: var(--pane);
  border: 1px solid var(--line);
  border-radius: 5px;
  padding: .25rem .55rem;
}
button { cursor: pointer; }
button:hover { border-color: var(--accent); }
.tag {
  display: inline-block;
  padding: 0 .4rem;
  border-radius: 99px;
  background: var(--chosen);
  color: var(--accent);
  font-style: normal;
}
a.tag { margin-block: 1px; }

header {
  display: flex;
  align-items: center;
  gap: .75rem;
  padding: .5rem 1rem;
  border-bottom: 1px solid var(--line);
  background: var(--pane);
  min-height: 3rem;
}
.brand { font-weight: 650; font-size: 16px; color: var(--text); white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.engine, .mode { padding: 0 .5rem; border: 1px solid var(--line); border-radius: 99px;
  color: var(--dim); white-space: nowrap; font-size: 12.5px; }
.path { flex: 1; min-width: 0; color: var(--dim); font: 12px var(--mono); overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
#help { width: 2rem; }

#stores, #keys, #value { background: var(--pane); border: 1px solid var(--line); border-radius: 8px; }
#stores { padding: .5rem; }
#stores summary { padding: .15rem .5rem; font-weight: 600; cursor: pointer; }
#counts > p { display: flex; justify-content: space-between; align-items: center; gap: .5rem;
  margin: .4rem .5rem 0; font-size: 12.5px; min-height: 2.4rem; }
.again { padding: .05rem .45rem; }
.stores a { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .5rem; padding: .25rem .5rem;
  border-radius: 5px; color: var(--text); }
.stores a:hover, .row:hover { background: var(--page); text-decoration: none; }
.stores a[aria-current], .row[aria-current] { background: var(--chosen); }
.row[aria-current] .tag { background: var(--pane); }
.store { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.kind { display: inline-block; width: 1.1em; color: var(--accent); text-align: center; }
.held { color: var(--dim); font-size: 12px; line-height: 1.7; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.depth1 a { padding-left: 1.1rem; } .depth2 a { padding-left: 2rem; } .depth3 a { padding-left: 2.9rem; }
.depth4 a { padding-left: 3.8rem; } .depth5 a { padding-left: 4.7rem; } .depth6 a { padding-left: 5.6rem; }

#filters { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .35rem .5rem; padding: .55rem .65rem;
  border-bottom: 1px solid var(--line); align-items: end; }
#filters label span { display: block; color: var(--dim); font-size: 12px; }
#filters input, #filters select { width: 100%; }
#filters select { padding-inline: .2rem; }
#filters label:nth-of-type(-n + 3) { grid-column: span 2; }
#filters button { background: var(--accent); border-color: var(--accent);
  color: light-dark(#fff, #06201d); font-weight: 600; }
.cost { grid-column: 1 / -1; margin: 0; font-size: 12px; line-height: 1.35; min-height: 2.7em; }
.spent { margin: 0; padding: .4rem .75rem; border-bottom: 1px solid var(--line); font-size: 12.5px; }
.keys li { border-bottom: 1px solid var(--line); }
.row { display: block; padding: .25rem .75rem; color: var(--text); height: 2.75rem; }
.key { display: block; font: 13px/1.4 var(--mono); white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.about { display: block; color: var(--dim); font-size: 12px; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; font-variant-numeric: tabular-nums; }
.pager { display: flex; justify-content: space-between; gap: 1rem; padding: .55rem .75rem;
  font-variant-numeric: tabular-nums; }
.pager > :first-child, .pager > :last-child { min-width: 5rem; }
.pager > :last-child { text-align: right; }

#value { padding: .9rem 1.1rem; min-width: 0; }
#value h1 { max-height: 9rem; overflow: auto; }
.back { margin: 0 0 .4rem; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin: .6rem 0; }
.facts dt { color: var(--dim); font-size: 12px; }
.facts dd { margin: 0; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; align-items: start; margin: .5rem 0;
  min-height: 2rem; }
.actions output { color: var(--dim); padding: .25rem 0; }
.edit[open] { flex-basis: 100%; }
.edit summary { display: inline-block; padding: .25rem .55rem; border: 1px solid var(--line);
  border-radius: 5px; cursor: pointer; }
.edit textarea { display: block; width: 100%; margin: .5rem 0; font: 12.5px/1.5 var(--mono); }
.delete { color: var(--danger); min-width: 7.5rem; }
.views { display: flex; gap: .25rem; border-bottom: 1px solid var(--line); margin-top: .4rem; }
.views a { padding: .35rem .8rem; border-bottom: 2px solid transparent; color: var(--dim); }
.views a[aria-current] { border-color: var(--accent); color: var(--text); }
.view { padding-top: .6rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.hex { font-size: 11.5px; margin-top: .6rem; padding: .6rem; background: var(--page); border-radius: 6px; }
.picture { display: block; width: 100%; height: 240px; object-fit: contain; margin: .4rem 0;
  border: 1px solid var(--line); border-radius: 6px;
  background: repeating-conic-gradient(var(--line) 0 25%, var(--pane) 0 50%) 0 / 16px 16px; }
.tree { font: 13px/1.6 var(--mono); overflow-wrap: anywhere; }
.tree summary { cursor: pointer; }
.tree .inside { margin-left: .45rem; padding-left: .9rem; border-left: 1px solid var(--line); }
.tree .leaf { padding-left: 1.05em; }
.name { color: var(--text); font-weight: 600; } .name::after { content: ":"; font-weight: 400; }
.type { color: var(--accent); } .string { color: var(--string); } .number { color: var(--number); }
.word { color: var(--word); } .same { color: var(--dim); font-style: italic; }
.versions { max-height: 14rem; overflow: auto; border: 1px solid var(--line); border-radius: 6px; }
.versions li { display: grid; grid-template-columns: 4rem 1fr auto auto; gap: .75rem;
  padding: .2rem .7rem; border-bottom: 1px solid var(--line); }
.versions li:last-child { border: 0; }
.versions a { padding: 0 .5rem; border-radius: 99px; }
.versions a[aria-current] { background: var(--chosen); }
.sides { width: 100%; table-layout: fixed; border-collapse: collapse; font: 12.5px/1.5 var(--mono); }
.sides th { text-align: left; font: 600 13px system-ui, sans-serif; padding: .3rem .5rem; }
.sides td { vertical-align: top; padding: 0 .5rem; white-space: pre-wrap; overflow-wrap: anywhere;
  border-left: 1px solid var(--line); }
.sides .gone { background: var(--gone); } .sides .come { background: var(--come); }
.sides .skipped td { color: var(--dim); background: var(--page); font: 12px system-ui, sans-serif; }

#live { background: var(--pane); border-top: 1px solid var(--line); }
.strip { display: flex; gap: .75rem; align-items: center; padding: .3rem 1rem; height: 2.3rem; }
#totals { flex: 1; min-width: 0; color: var(--dim); font-size: 12.5px; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; font-variant-numeric: tabular-nums; }
#pause { padding: 0 .5rem; min-width: 4.5rem; }
#events { height: 5.2rem; overflow: auto; padding: 0 1rem .3rem; font: 12px/1.65 var(--mono); }
#events li { display: flex; gap: .75rem; white-space: nowrap; }
#events .time { color: var(--dim); } #events .type { width: 5.5rem; }
#events .where { width: 8rem; overflow: hidden; text-overflow: ellipsis; color: var(--dim); }
#events .what { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
#events .more { color: var(--dim); overflow: hidden; text-overflow: ellipsis; }
#events .miss, #events .error, #events .delete { color: var(--danger); }
#events .set, #events .compute { color: var(--number); }

#message { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
#message h1 { font: 600 20px system-ui, sans-serif; }
dialog { color: var(--text); background: var(--pane); border: 1px solid var(--line); border-radius: 8px; }
dialog::backdrop { background: #0008; }
dialog dl { display: grid; grid-template-columns: auto 1fr; gap: .3rem 1rem; margin: 0 0 1rem; }
dialog dt { font-family: var(--mono); } dialog dd { margin: 0; }

@media (min-width: 900px) {
  body:not(.message) { display: grid; height: 100dvh; grid-template-rows: auto minmax(0, 1fr) auto;
    grid-template-columns: 15.5rem minmax(17rem, 24rem) minmax(0, 1fr); gap: .6rem .6rem; }
  body:not(.message) > header, #live { grid-column: 1 / -1; }
  #stores, #keys, #value { overflow: auto; scrollbar-gutter: stable; }
  #stores { margin-left: .6rem; } #value { margin-right: .6rem; }
  .back { display: none; }
  #keys .pager { position: sticky; bottom: 0; background: var(--pane); border-top: 1px solid var(--line); }
}
@media (max-width: 899px) {
  .path { display: none; } .mode { margin-left: auto; }
  body { padding-bottom: 2.4rem; }
  #stores, #keys, #value { margin: .6rem; }
  #stores ul { max-height: 11rem; overflow: auto; }
  .has-key #stores, .has-key #keys, body:not(.has-key) #value { display: none; }
  #live { position: fixed; inset: auto 0 0; } #events { display: none; }
  .hex { font-size: 10.5px; }
}
`;
