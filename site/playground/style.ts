/** The playground's own style, over the tokens of reports: colours come from the page that it is in. */
export const playgroundStyle = `
.playground{--dense:#c26a12;--mixture:var(--accent,#0072b2);--gap:16px;container-type:inline-size;color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif}
.playground *{box-sizing:border-box}
.playground [hidden]{display:none!important}
.playground-grid{display:grid;gap:var(--gap);grid-template-columns:minmax(0,1fr);grid-template-areas:"transport" "wall" "accuracy" "controls" "costs" "experts" "sharing"}
.playground .transport{grid-area:transport}.playground .controls{grid-area:controls}.playground .wall{grid-area:wall}.playground .accuracy{grid-area:accuracy}.playground .costs{grid-area:costs}.playground .experts{grid-area:experts}.playground .sharing{grid-area:sharing}
.playground .panel{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px;min-width:0;margin:0}
.playground>:is(.tasks,.own,.notices){margin-bottom:var(--gap)}
.playground h3{font-size:1rem;line-height:1.3;margin:0 0 8px;font-weight:650;letter-spacing:-.005em}
.playground h4{font-size:.82rem;font-weight:500;color:var(--quiet);margin:0 0 4px}
.playground p{margin:0;max-width:none}
.playground .hint{color:var(--quiet);font-size:.8rem;line-height:1.4}
.playground .value{font-variant-numeric:tabular-nums;font-weight:650}
.playground .unseen{position:absolute;width:1px;height:1px;margin:-1px;padding:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap;border:0}
.playground fieldset{border:0;padding:0;margin:0;min-width:0}
.playground legend{padding:0}
.playground button,.playground .button{font:inherit;font-size:.9rem;line-height:1.3;padding:7px 13px;min-height:36px;border:1px solid var(--line);border-radius:8px;background:var(--page);color:var(--ink);cursor:pointer;display:inline-flex;align-items:center;justify-content:center;text-align:center}
.playground button:hover:not(:disabled),.playground .button:hover{border-color:var(--quiet)}
.playground button.primary{background:var(--button,#0072b2);border-color:transparent;color:#fff;font-weight:600;min-width:84px}
.playground button:disabled{opacity:.5;cursor:default}
.playground select,.playground input[type=text]{font:inherit;font-size:.9rem;color:var(--ink);background:var(--page);border:1px solid var(--line);border-radius:8px;padding:6px 8px;min-height:36px;max-width:100%;width:100%}
.playground select{appearance:auto}
.playground :is(button,select,input):focus-visible,.playground :is(.task,.chip,.button,.choice):has(:focus-visible),.playground .unseen:focus-visible+.button{outline:3px solid var(--accent);outline-offset:2px}
.playground .buttons{display:flex;flex-wrap:wrap;gap:8px}
.playground progress{appearance:none;width:100%;height:6px;border:0;border-radius:3px;overflow:hidden;background:var(--line);display:block}
.playground progress::-webkit-progress-bar{background:var(--line)}
.playground progress::-webkit-progress-value{background:var(--accent);border-radius:3px}
.playground progress::-moz-progress-bar{background:var(--accent)}
.playground .tasks{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}
.playground .task{position:relative;display:flex;flex-direction:column;gap:3px;padding:11px 13px;border:1px solid var(--line);border-radius:12px;background:var(--card);cursor:pointer}
.playground .task input,.playground .chip input{position:absolute;opacity:0;inset:0;width:100%;height:100%;margin:0;cursor:pointer}
.playground .task:hover{border-color:var(--quiet)}
.playground .task:has(:checked){border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
.playground .task-title{font-weight:650;line-height:1.3}
.playground .task-question{display:none;font-size:.8rem;line-height:1.35;color:var(--quiet)}
.playground .transport{display:grid;gap:12px;align-items:center}
.playground .clock{display:grid;gap:6px}
.playground .epoch{font-variant-numeric:tabular-nums;font-weight:600}
.playground .backend{display:grid;gap:4px}
.playground .backend label{display:flex;gap:10px;align-items:center;font-size:.85rem;color:var(--quiet);white-space:nowrap}
.playground .reason{font-size:.8rem;line-height:1.4;color:var(--quiet);min-height:4.2em;overflow-wrap:anywhere}
.playground .controls{display:flex;flex-direction:column;gap:14px}
.playground .controls h3{margin:0}
.playground .slider{display:grid;gap:2px}
.playground .slider-head{display:flex;justify-content:space-between;gap:8px;font-size:.9rem}
.playground input[type=range]{width:100%;margin:0;height:26px;accent-color:var(--accent)}
.playground .field{display:grid;gap:5px;font-size:.9rem}
.playground .choices{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:2px}
.playground .choice{display:inline-flex;gap:7px;align-items:center;min-height:28px;border-radius:6px}
.playground .choice input{accent-color:var(--accent);margin:0}
.playground .choice:has(:disabled){color:var(--quiet)}
.playground .seed{display:flex;justify-content:space-between;align-items:center;font-size:.9rem}
.playground .wall-head{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 16px}
.playground .question{font-size:.9rem;margin-bottom:6px}
.playground .legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;padding:0;margin:0 0 10px;font-size:.8rem;color:var(--quiet)}
.playground .legend li{display:inline-flex;align-items:center;margin:0}
.playground .swatch{display:inline-block;width:12px;height:12px;margin-right:6px;border-radius:2px;flex:none}
.playground .swatch.lit{border:2px solid var(--kept)}.playground .swatch.veiled{background:var(--veil);opacity:.8;border:1px solid var(--quiet)}.playground .swatch.truth{border:2px dashed var(--truth)}
.playground .chips{display:flex;gap:6px;margin-bottom:10px;overflow-x:auto;padding:2px;scrollbar-width:thin}
.playground .chip{position:relative;flex:none;display:inline-flex;align-items:center;justify-content:center;min-width:32px;min-height:30px;padding:2px 10px;border:1px solid var(--line);border-radius:15px;font-size:.82rem;font-variant-numeric:tabular-nums;cursor:pointer}
.playground .chip:has(:checked){background:var(--ink);border-color:var(--ink);color:var(--card)}
.playground .wall-frame{width:100%;overflow:hidden}
.playground .wall-canvas{display:block}
.playground .wall-caption{margin-top:8px;min-height:2.8em}
.playground .tiles{display:grid;grid-template-columns:1fr 1fr;gap:8px;margin-bottom:8px}
.playground .tile-number{display:grid;padding-left:10px;border-left:4px solid var(--dense);font-size:1rem;text-align:left;color:var(--ink)}
.playground .tile-number.mixture{border-color:var(--mixture)}
.playground .tile-title{font-size:.82rem;color:var(--quiet)}
.playground .tile-value{font-size:1.6rem;line-height:1.15;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.playground .accuracy-chart{display:block;width:100%;height:auto;aspect-ratio:320/190}
.playground .accuracy-chart text{fill:var(--quiet);font-size:10.5px}
.playground .grid-line{stroke:var(--line);stroke-width:1}
.playground .line{fill:none;stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round;stroke:var(--dense)}
.playground .line.mixture{stroke:var(--mixture)}
.playground .line.dense{stroke-dasharray:5 4}
.playground .costs{display:grid;gap:12px;align-content:start}
.playground .costs h3{margin:0}
.playground .bar-row{display:grid;grid-template-columns:58px minmax(0,1fr) 58px;gap:8px;align-items:center;font-size:.82rem}
.playground .bar{height:10px;border-radius:5px;background:var(--page);overflow:hidden;display:block}
.playground .bar-fill{display:block;width:0;height:100%;border-radius:5px;background:var(--dense);transition:width .2s}
.playground .bar-fill.mixture{background:var(--mixture)}
.playground .bar-value{text-align:right;font-variant-numeric:tabular-nums;font-weight:600}
.playground .facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px 16px;margin:0 0 14px}
.playground .facts dt{font-size:.78rem;line-height:1.35;color:var(--quiet)}
.playground .facts dd{margin:0;font-size:1.1rem;font-weight:650;font-variant-numeric:tabular-nums}
.playground .expert-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(142px,1fr));gap:10px}
.playground .expert{border:1px solid var(--line);border-radius:10px;padding:10px;display:grid;gap:6px;align-content:start}
.playground .expert:has([aria-pressed=true]){border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
.playground .expert-head{display:flex;justify-content:space-between;align-items:center;gap:6px}
.playground button.expert-name{padding:0 6px;margin:0 -6px;min-height:28px;border-color:transparent;background:none;font-weight:650}
.playground .tag{font-size:.75rem;color:var(--wrong);font-weight:600}
.playground .expert-pictures{display:grid;grid-template-columns:1fr 1fr;gap:8px}
.playground .expert-picture{margin:0}
.playground .expert-pictures:has([hidden]){grid-template-columns:auto 1fr}
.playground .expert-pictures:has([hidden]) canvas{width:72px}
.playground .expert-picture canvas{display:block;width:100%;aspect-ratio:1;image-rendering:pixelated;border-radius:4px;outline:1px solid var(--line);background:var(--page)}
.playground .expert-picture figcaption{font-size:.7rem;line-height:1.25;color:var(--quiet);margin-top:3px;min-height:2.5em}
.playground .expert-classes{min-height:1.4em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.playground .sharing{display:grid;gap:8px}
.playground .problem{display:flex;flex-wrap:wrap;gap:10px;align-items:center;justify-content:space-between;border:1px solid var(--wrong);border-radius:12px;padding:12px 16px;background:var(--card);color:var(--wrong);overflow-wrap:anywhere}
.playground .problem-text{flex:1 1 300px}
.playground .remarks{margin:0;padding:10px 14px 10px 32px;border:1px solid var(--line);border-radius:12px;background:var(--card);font-size:.85rem;color:var(--quiet);overflow-wrap:anywhere}
.playground .problem+.remarks:not([hidden]){margin-top:8px}
.playground .notices:not(:has(>:not([hidden]))){display:none}
.playground .own{display:grid;gap:12px}
.playground .drop{border:2px dashed var(--line);border-radius:10px;padding:20px 16px;display:grid;gap:8px;justify-items:center;text-align:center;position:relative}
.playground .drop.over{border-color:var(--accent);background:var(--page)}
.playground .class-list{list-style:none;margin:0;padding:0;display:grid;gap:8px}
.playground .class-row{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:0;position:relative}
.playground .class-row .class-name{flex:1 1 150px;width:auto;min-width:0}
.playground .class-count{flex:0 0 96px;font-size:.85rem;color:var(--quiet);font-variant-numeric:tabular-nums}
.playground .camera{display:flex;flex-wrap:wrap;gap:12px;align-items:center}
.playground .camera video{width:180px;aspect-ratio:1;object-fit:cover;border-radius:10px;background:var(--veil)}
.playground .camera-side{display:grid;gap:8px}
.playground .reading{display:grid;gap:6px;font-size:.85rem;min-height:1.5em;overflow-wrap:anywhere}
@media (prefers-reduced-motion:reduce){.playground *{transition:none!important}}
@container (min-width:660px){.playground-grid{grid-template-columns:minmax(0,1fr) minmax(0,1fr);grid-template-areas:"transport transport" "wall wall" "accuracy controls" "costs controls" "experts experts" "sharing sharing"}.playground .tasks{grid-template-columns:repeat(4,minmax(0,1fr))}.playground .transport{grid-template-columns:auto minmax(120px,1fr) minmax(220px,1.2fr);gap:20px}.playground .reason{min-height:2.8em}.playground .task-question{display:block}}
@container (min-width:1040px){.playground-grid{grid-template-columns:250px minmax(0,1fr) 300px;grid-template-rows:auto auto 1fr;grid-template-areas:"transport transport transport" "controls wall accuracy" "controls wall costs" "experts experts experts" "sharing sharing sharing"}.playground .expert-cards{grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}}
`
