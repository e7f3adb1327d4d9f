/** Colours of pages by name, as CSS custom properties without their dashes: of light pages, and what differs on dark ones. */
export const pageColors = {
  light: {
    page: '#fbfbfa',
    card: '#fff',
    ink: '#1d2733',
    quiet: '#56616d',
    line: '#dde2e7',
    shade: '#1d273333',
    accent: '#0072b2',
    kept: '#ff9d1e',
    veil: '#10161d',
    truth: '#00c2ff',
    right: '#00694d',
    wrong: '#b3261e',
  },
  dark: {
    page: '#14191f',
    card: '#1b222a',
    ink: '#e8ecf0',
    quiet: '#a3aeb9',
    line: '#333d48',
    shade: '#000000a0',
    accent: '#6cb8ec',
    right: '#4fd1a5',
    wrong: '#ff9a8d',
  },
} as const

/** Fonts of pages, of the reader's own system: text and code. */
export const pageFonts = {
  text: 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif',
  code: 'ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace',
} as const

/** Custom properties of colours as CSS declarations: `--page:#fbfbfa;--card:#fff`. */
export function colorDeclarations(colors: Readonly<Record<string, string>>): string {
  return Object.entries(colors)
    .map(([name, value]) => `--${name}:${value}`)
    .join(';')
}

/** The colours alone, light and dark by the reader's setting, for pages with a layout of their own. */
export const colorStyle = `:root{color-scheme:light dark;${colorDeclarations(pageColors.light)}}
@media (prefers-color-scheme:dark){:root{${colorDeclarations(pageColors.dark)}}}
`

/** How figures of `routingFigure` and their legend look, on any page that has the colours. */
export const routingStyle = `.legend{list-style:none;display:flex;flex-wrap:wrap;gap:6px 22px;padding:0;margin:0 0 16px;font-size:.88rem;color:var(--quiet)}
.swatch{display:inline-block;width:14px;height:14px;margin-right:7px;vertical-align:-2px;border-radius:2px}
.swatch.kept{background:var(--kept)}.swatch.veil{background:var(--veil);opacity:.78;border:1px solid var(--line)}.swatch.truth{border:3px solid var(--truth)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:22px 26px}
.routing figcaption{font-weight:600;font-size:.95rem;margin-bottom:6px}
.tiles{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(0,1fr);gap:6px}
.tiles.many{grid-auto-flow:row;grid-template-columns:calc(34% + 6px) repeat(4,1fr)}
.tiles.many .tile:first-child{grid-row:span 2}
.tile{font-size:.7rem;color:var(--quiet);text-align:center;line-height:1.3}
.tile svg{display:block;width:100%;height:auto;outline:1px solid var(--line);image-rendering:pixelated}
.veil{fill:var(--veil);fill-opacity:.78}
.kept rect{fill:var(--kept)}
.truth{fill:none;stroke:var(--truth);stroke-width:2px;vector-effect:non-scaling-stroke}
`

/**
 * The style sheet of a report page: light and dark by the reader's setting, one column on a phone. A table that is wider than the
 * page is shaded at the side where it goes on.
 */
export const pageStyle = `
${colorStyle}@media (prefers-color-scheme:dark){.chart text{fill:var(--quiet)}.chart .role-axis-grid line{stroke:var(--line)}.chart .role-legend-symbol path{stroke:var(--quiet)}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 ${pageFonts.text}}
main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 8px}
h2{font-size:1.35rem;margin:0 0 6px}
h3{font-size:1.05rem;margin:28px 0 4px}
p{margin:0 0 12px;max-width:72ch}
.lede{font-size:1.1rem;color:var(--quiet)}
.quiet{color:var(--quiet);font-weight:400}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:24px;margin-top:24px}
.scroll{overflow-x:auto;margin:16px 0;background:linear-gradient(90deg,var(--card) 40%,transparent) left/40px 100% no-repeat local,linear-gradient(270deg,var(--card) 40%,transparent) right/40px 100% no-repeat local,linear-gradient(90deg,var(--shade),transparent) left/16px 100% no-repeat,linear-gradient(270deg,var(--shade),transparent) right/16px 100% no-repeat}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:9px 14px;text-align:right;border-bottom:1px solid var(--line)}
th:first-child{text-align:left;padding-left:0}
thead th{font-weight:500;color:var(--quiet);font-size:.88rem}
tbody th{font-weight:600}
td.best{font-weight:700}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px 24px;margin:20px 0 0}
figure{margin:0}
.chart{overflow-x:auto}.chart svg{display:block;width:100%;min-width:340px;height:auto}
${routingStyle}.right{color:var(--right)}.wrong{color:var(--wrong)}
.settings{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));gap:12px 24px;margin:12px 0 20px}
.settings dt{font-size:.82rem;color:var(--quiet)}
.settings dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--page);border:1px solid var(--line);border-radius:8px;padding:12px 14px;margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:.9rem/1.5 ${pageFonts.code}}
thead th{vertical-align:bottom;line-height:1.25}
tbody th:first-child{min-width:6.5em;overflow-wrap:break-word}
@media (max-width:520px){th,td{padding:7px 5px;font-size:.84rem}thead th{font-size:.78rem}main{padding:20px 12px 40px}section{padding:16px}h1{font-size:1.55rem}}
@media print{.scroll,.chart{overflow:visible}section{break-inside:avoid-page;border:0;padding:0}}
`
