import { posix } from 'node:path'
import type { SitePage } from './site-map.js'

/** What of the project a page's links can lead to. */
export interface LinkTargets {
  readonly pages: readonly SitePage[]
  /** Whether the project has a file or folder at this path. */
  exists(path: string): boolean
}

/** A text as the site shows it, and the files that it shows or offers, as paths in the project. */
export interface PageText {
  readonly text: string
  readonly files: readonly string[]
}

const fence = /^(```|~~~)[\s\S]*?^\1[^\S\n]*$/gm
const comment = /^<!--[\s\S]*?-->[^\S\n]*\n?/gm
const link = /(!?)\[((?:`[^`\n]*`|[^[\]\\`\n]|\\.|\n(?!\n))*)\]\(([^()\s]+)\)/g
/** What is copied into the site where a text links to it; links to other files become plain text, as sources are not part of the site. */
const offered = /\.(png|svg|jpg|sh|ya?ml|csv)$/

/**
 * A text of the project as a page of the site: links lead to pages instead of files, comments are left out, and of a study its figure
 * follows the title.
 *
 * @param markdown the text as it stands in the project
 * @throws Error where a link leads to nothing
 */
export function pageText(markdown: string, page: SitePage, targets: LinkTargets): PageText {
  const files = new Set<string>()
  const prose = (text: string) =>
    text
      .replace(comment, '')
      .replace(link, (whole, mark: string, label: string, target: string) =>
        linkOf({ whole, mark, label, target }, page, targets, files),
      )
  const text = outsideFences(isStudy(page) ? withFigure(markdown) : markdown, prose)
  return { text, files: [...files] }
}

interface Link {
  readonly whole: string
  readonly mark: string
  readonly label: string
  readonly target: string
}

function linkOf(
  { whole, mark, label, target }: Link,
  page: SitePage,
  targets: LinkTargets,
  files: Set<string>,
): string {
  if (/^(https?:|mailto:|#|data:)/.test(target)) return whole
  const [path = '', fragment] = target.split('#')
  const file = posix.join(posix.dirname(page.source), path).replace(/\/$/, '')
  const linked = targets.pages.find(
    ({ source }) => source === file || (posix.dirname(source) === file && isIndex(source)),
  )
  if (linked) return `${mark}[${label}](/${linked.address}.md${fragment ? `#${fragment}` : ''})`
  if (!targets.exists(file))
    throw new Error(
      `${page.source}: links must lead to what is there, got ${target} (${file} does not exist)`,
    )
  if (!offered.test(file)) return label
  files.add(file)
  return mark ? `![${label}](/${file})` : `[${label}](/${file}){target="_self"}`
}

const isStudy = ({ source }: SitePage): boolean => /^results\/[^/]+\/table\.md$/.test(source)
const isIndex = (source: string): boolean => /\/(README|table)\.md$/.test(source)

/** The text of a study's results with its figure below the title. */
function withFigure(markdown: string): string {
  const title = /^# .*$/m.exec(markdown)?.[0] ?? ''
  return markdown.replace(title, `${title}\n\n![The results as a figure](figure.svg)`)
}

/** Changes a Markdown text, but nothing inside its blocks of code. */
function outsideFences(text: string, change: (prose: string) => string): string {
  let from = 0
  const parts: string[] = []
  for (const { index, 0: code } of text.matchAll(fence)) {
    parts.push(change(text.slice(from, index)), code)
    from = index + code.length
  }
  return [...parts, change(text.slice(from))].join('')
}
