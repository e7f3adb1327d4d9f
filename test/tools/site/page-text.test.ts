import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type LinkTargets, pageText } from '../../../tools/site/page-text.js'
import { type SitePage, sitePages } from '../../../tools/site/site-map.js'
import { studiesOf } from '../../../tools/site/source-pages.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const page: SitePage = { source: 'docs/gpu.md', address: 'gpu', title: 'GPUs' }
const there = ['docs/picture.png', 'docs/studies/job.sh', 'src/index.ts', 'examples']
const targets: LinkTargets = {
  pages: sitePages(['fig4']),
  exists: path => there.includes(path),
}
const shown = (markdown: string) => pageText(markdown, page, targets)

describe('pageText', () => {
  test('leads links to pages, whatever file or folder they name', () => {
    expect(shown('[a](pages.md), [b](../README.md), [c](../results/fig4/table.md)').text).toBe(
      '[a](/pages.md), [b](/index.md), [c](/results/fig4.md)',
    )
    expect(shown('[a](../results/), [`b` c](../bench/NOTES.md#times)').text).toBe(
      '[a](/results/explained.md), [`b` c](/bench/notes.md#times)',
    )
  })

  test('takes along what is shown or offered, and makes text of links to sources', () => {
    const { text, files } = shown(
      '![a picture](picture.png) [job](studies/job.sh) [`x`](../src/index.ts) [e](../examples)',
    )
    expect(text).toBe('![a picture](/docs/picture.png) [job](/docs/studies/job.sh){target="_self"} `x` e')
    expect(files).toEqual(['docs/picture.png', 'docs/studies/job.sh'])
  })

  test('leaves other addresses, and code, as they are', () => {
    const text = '[a](https://example.org/b) [c](#d)\n\n```sh\n[a](none.md) <!-- b -->\n```\n'
    expect(shown(text).text).toBe(text)
  })

  test('leaves comments out', () => {
    expect(shown('a\n<!-- written by x -->\n| b |\n<!-- /x -->\n').text).toBe('a\n| b |\n')
  })

  test('refuses a link to nothing', () => {
    expect(() => shown('see [there](none.md)')).toThrow(
      'docs/gpu.md: links must lead to what is there, got none.md (docs/none.md does not exist)',
    )
  })

  test('takes no longer for texts with many brackets and backticks', () => {
    const text = `${'[`a '.repeat(2000)}${'`x` ['.repeat(2000)}`
    expect(shown(text).text).toBe(text)
  })

  test('shows the figure of a study below its title', () => {
    const study: SitePage = { source: 'results/fig4/table.md', address: 'results/fig4', title: 'fig4' }
    const { text, files } = pageText('# fig4\n\nText.', study, { ...targets, exists: () => true })
    expect(text).toBe('# fig4\n\n![The results as a figure](/results/fig4/figure.svg)\n\nText.')
    expect(files).toEqual(['results/fig4/figure.svg'])
  })
})

test('every text of docs is a page, at an address of its own', () => {
  const pages = sitePages([])
  const texts = readdirSync(`${root}docs`)
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`)
  expect(texts.filter(text => !pages.some(({ source }) => source === text))).toEqual([])
  expect(pages.filter(({ source }) => !existsSync(root + source))).toEqual([])
  expect(new Set(pages.map(({ address }) => address)).size).toBe(pages.length)
})

test('every link of a page leads to a file that is there, and to a heading of it', async () => {
  const pages = sitePages(await studiesOf(root))
  const there: LinkTargets = { pages, exists: path => existsSync(root + path) }
  const texts = new Map(
    pages.map(page => {
      const { text } = pageText(readFileSync(root + page.source, 'utf8'), page, there)
      return [page.address, text.replace(/^```[\s\S]*?^```$/gm, '')]
    }),
  )
  const headings = (text = '') =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))
  const links = [...texts].flatMap(([address, text]) =>
    [...text.matchAll(/\]\((?:\/([^()\s#]+)\.md)?#([^()\s]+)\)/g)].map(([link, target, anchor]) => ({
      link: `${address}: ${link}`,
      isThere: headings(texts.get(target ?? address)).includes(anchor as string),
    })),
  )
  expect(links.length).toBeGreaterThan(2)
  expect(links.filter(({ isThere }) => !isThere)).toEqual([])
})

/** The part after `#` in the address of a heading in plain words. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}
