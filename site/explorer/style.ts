/** The style sheet of the explorer, in the colours of all pages (`pageStyle`): light and dark, from a phone to a wide screen. */
export const explorerStyle = `
.explorer{container-type:inline-size}
.explorer [hidden]{display:none!important}
.explorer h1{overflow-wrap:anywhere}
.explorer h3{font-size:1.05rem;margin:20px 0 6px}
.explorer h4{font-size:.9rem;margin:0 0 4px;font-weight:600}
.explorer button,.explorer input{font:inherit;color:inherit}
.explorer button{cursor:pointer}
.explorer :focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.explorer .x-quiet{color:var(--quiet);font-size:.92rem;overflow-wrap:anywhere}
.explorer .x-problem{color:var(--wrong);overflow-wrap:anywhere;white-space:pre-line}
.explorer .x-problem:empty{display:none}
.explorer .x-button{display:inline-flex;align-items:center;min-height:38px;padding:4px 14px;border:1px solid var(--line);border-radius:8px;background:var(--card);cursor:pointer;font-size:.95rem}
.explorer .x-button:hover{border-color:var(--accent)}
.explorer .x-button:focus-within{outline:3px solid var(--accent);outline-offset:2px}
.explorer .x-button input{position:absolute;width:1px;height:1px;opacity:0}
.explorer .x-check{display:inline-flex;align-items:center;gap:6px;min-height:32px;cursor:pointer}
.explorer .x-check input{width:18px;height:18px;margin:0;accent-color:var(--accent)}
.explorer .x-row{display:flex;flex-wrap:wrap;gap:8px 14px;margin:10px 0;padding:0;border:0;align-items:center}
.explorer .x-row legend{float:left;margin-right:14px;color:var(--quiet)}
.explorer .x-tabs{display:flex;gap:2px;border-bottom:1px solid var(--line);margin:18px 0 16px;overflow-x:auto}
.explorer .x-tabs button{border:0;background:none;padding:9px 14px;white-space:nowrap;border-bottom:3px solid transparent;color:var(--quiet)}
.explorer .x-tabs button[aria-selected=true]{color:var(--ink);border-bottom-color:var(--accent);font-weight:600}
.explorer .x-tabs :focus-visible{outline-offset:-3px}
.explorer .x-strip{display:flex;gap:6px;overflow-x:auto;padding:4px;margin:0 -4px 12px}
.explorer .x-thumbnail{flex:none;padding:0;border:1px solid var(--line);border-radius:6px;background:var(--card);overflow:hidden;width:64px;text-align:center;font-size:.78rem;line-height:1.25}
.explorer .x-thumbnail img{display:block;width:100%;aspect-ratio:1;object-fit:cover;image-rendering:auto}
.explorer .x-thumbnail[aria-pressed=true]{border-color:var(--accent);box-shadow:0 0 0 2px var(--accent)}
.explorer .x-thumbnail span{display:block;padding:3px 4px;overflow-wrap:anywhere}
.explorer .x-unread{visibility:hidden}
.explorer .x-setting{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;min-height:44px;margin:0 0 10px}
.explorer .x-setting input{flex:1 1 160px;max-width:420px;accent-color:var(--accent);min-height:32px}
.explorer .x-setting output{min-width:6.5ch;font-variant-numeric:tabular-nums}
.explorer .x-columns{display:grid;grid-template-columns:minmax(0,1fr);gap:20px 28px}
.explorer .x-photograph{position:relative;overflow:hidden;border-radius:6px;background:var(--line)}
.explorer .x-photograph img{display:block;width:100%;min-height:40px}
.explorer .x-pixels{image-rendering:pixelated}
.explorer .x-photograph svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.explorer .x-verdict{font-size:1.05rem;min-height:3.1em;max-width:none;overflow-wrap:anywhere}
.explorer .x-bars{list-style:none;margin:0 0 8px;padding:0;min-height:6em}
.explorer .x-bars li{display:grid;grid-template-columns:minmax(70px,34%) 1fr 6ch;gap:10px;align-items:center;padding:3px 0}
.explorer .x-name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.explorer .x-number{text-align:right;font-variant-numeric:tabular-nums}
.explorer .x-bar{position:relative;height:14px;background:var(--line);border-radius:3px}
.explorer .x-bar span{display:block;height:100%;background:var(--accent);border-radius:3px;transition:width .15s}
.explorer .x-bar i{position:absolute;top:-3px;bottom:-3px;width:3px;margin-left:-1px;background:var(--ink);border-radius:1px}
.explorer .x-tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(118px,1fr));gap:12px;margin-top:12px}
.explorer .x-tiles figure{margin:0;font-size:.85rem}
.explorer .x-tiles button{display:block;width:100%;padding:3px;background:none;border:1px solid var(--line);border-radius:8px}
.explorer .x-tiles button[aria-pressed=true]{border-color:var(--accent);box-shadow:0 0 0 2px var(--accent)}
.explorer .x-tiles .x-off{opacity:.35}
.explorer .x-tiles figcaption{display:flex;justify-content:space-between;align-items:center;gap:6px}
.explorer .x-kept{color:var(--quiet);font-size:.8rem}
.explorer .x-choice ol{list-style:none;padding:0;margin:0}
.explorer .x-choice .x-name{min-width:0}
.explorer .x-choice li{display:grid;grid-template-columns:minmax(0,1fr) 7ch 10ch 4em;gap:8px;align-items:center;padding:2px 6px;border-left:4px solid transparent}
.explorer .x-choice .x-chosen{border-left-color:var(--kept);font-weight:600}
.explorer .x-graph{overflow:auto;max-height:76vh;background:var(--card);border:1px solid var(--line);border-radius:10px}
.explorer .x-graph>svg{display:block;margin:0 auto;max-width:none;font-size:12.5px}
.explorer .x-box{cursor:pointer}
.explorer .x-box rect{fill:var(--page);stroke:var(--line);stroke-width:1.5}
.explorer .x-box text{fill:var(--quiet)}
.explorer .x-box .x-strong{fill:var(--ink);font-weight:600}
.explorer .x-mixture rect{stroke:var(--kept);stroke-width:3}
.explorer .x-repeated rect{stroke:var(--quiet)}
.explorer .x-box:hover rect{stroke:var(--accent)}
.explorer .x-box:focus-visible{outline:none}
.explorer .x-box:focus-visible rect{stroke:var(--accent);stroke-width:4}
.explorer .x-edge{fill:none;stroke:var(--quiet);stroke-width:1.3}
.explorer .x-arrow{fill:var(--quiet)}
.explorer .x-panel{border:1px solid var(--line);border-radius:10px;background:var(--card);padding:4px 16px 14px;margin:12px 0}
.explorer .x-panel h3{overflow-wrap:anywhere;margin-top:10px}
.explorer .x-panel h3:focus{outline:none}
.explorer .x-details{align-self:start;margin:0;min-width:0}
.explorer .x-gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(92px,1fr));gap:8px;margin-bottom:8px}
.explorer .x-gallery .x-thumbnail{width:auto}
.explorer progress{width:100%;height:10px;accent-color:var(--accent)}
.explorer .x-scroll{overflow-x:auto}
.explorer table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem;width:auto}
.explorer th,.explorer td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;background:none}
.explorer th:first-child{text-align:left;padding-left:0}
.explorer .x-confusion th,.explorer .x-confusion td{padding:1px;border:0;max-width:130px;overflow:hidden;text-overflow:ellipsis;font-weight:500}
.explorer .x-confusion td{width:42px;height:34px;background:var(--card)}
.explorer .x-confusion thead th{height:92px;vertical-align:bottom;padding:2px}
.explorer .x-confusion thead span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:88px;overflow:hidden;text-overflow:ellipsis}
.explorer .x-confusion tbody th{padding-right:10px;text-align:left;position:sticky;left:0;background:var(--page)}
.explorer .x-confusion .x-corner{background:none;color:var(--quiet);font-size:.78rem;vertical-align:bottom;text-align:left;width:auto}
.explorer .x-confusion button{width:40px;height:32px;padding:0;border:1px solid transparent;border-radius:4px;background:color-mix(in srgb,var(--cell) calc(12% + 40%*var(--share)),var(--card))}
.explorer .x-confusion button:hover{border-color:var(--ink)}
.explorer .x-hit{--cell:var(--accent)}
.explorer .x-miss{--cell:var(--kept)}
.explorer .x-favourites{list-style:none;padding:0;margin:0}
.explorer .x-favourites li{margin:0 0 12px}
.explorer .x-crops{display:flex;flex-wrap:wrap;gap:5px}
.explorer .x-crops button{position:relative;width:64px;height:64px;padding:0;border:1px solid var(--line);border-radius:4px;overflow:hidden;background:#10161d}
.explorer .x-crops img{position:absolute;left:0;top:0;width:100%;height:100%;max-width:none}
.explorer .x-crops span{position:absolute;inset:25%;border:1.5px solid var(--kept);outline:1px solid #10161d}
.explorer .x-drop{border:2px dashed var(--line);border-radius:12px;padding:16px 20px;margin:28px 0 0;color:var(--quiet)}
.explorer .x-drop .x-button{color:var(--ink)}
.explorer [aria-busy=true] .x-bars{opacity:.6}
@container (min-width:820px){
.explorer .x-columns{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}
.explorer .x-strip{flex-wrap:nowrap}
}
@media (prefers-reduced-motion:reduce){.explorer *{transition:none!important;scroll-behavior:auto!important}}
`
