import { escapeHtml } from './escape.js'
import { pageStyle } from './page-style.js'

/** The frame of a page. */
export interface Page {
  readonly title: string
  /** One or two sentences of plain text under the title. */
  readonly summary: string
  /** HTML, one `section` after the other. */
  readonly sections: readonly string[]
  /** CSS that the page needs besides the style sheet of all pages. */
  readonly style?: string
}

/** Writes a self-contained HTML page: no network, no scripts, light and dark. */
export function pageHtml({ title, summary, sections, style = '' }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${pageStyle}${style}</style>
</head>
<body>
<main>
<header>
<h1>${escapeHtml(title)}</h1>
<p class="lede">${escapeHtml(summary)}</p>
</header>
${sections.join('\n')}
</main>
</body>
</html>
`
}

/** The section that says how a page was made: every setting that matters, and the exact command. */
export function provenanceHtml(
  settings: readonly (readonly [name: string, value: string])[],
  command: string,
): string {
  const entry = ([name, value]: readonly [string, string]) =>
    `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`
  return `<section>
<h2>How this was made</h2>
<dl class="settings">
${settings.map(entry).join('\n')}
</dl>
<p>Run again with</p>
<pre><code>${escapeHtml(command)}</code></pre>
</section>`
}
