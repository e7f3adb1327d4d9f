import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import { colorDeclarations, pageColors } from '../../src/report/page-style.js'
import { apiPages, programPages, type SiteGroup, siteGroups, studyPageOf } from '../../tools/site/site-map.js'
import { studiesOf } from '../../tools/site/source-pages.js'
import { liveFigures } from './live-figures.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const studies = (await studiesOf(root)).map(studyPageOf)

/** The pages of the API, where this build has them. */
const api: SiteGroup = { title: 'API', pages: existsSync(`${root}site/.pages/api`) ? apiPages : [] }
const { guides, method, results, reference } = siteGroups

const menu = ({ title, pages }: SiteGroup) => ({
  text: title,
  collapsed: false,
  items: pages.map(page => ({ text: page.title, link: linkTo(page.address) })),
})

const linkTo = (address: string) => `/${address.replace(/index$/, '')}`

// The colours of reports, stronger than those that a program in a page brings itself.
const colors = `html:root{${colorDeclarations(pageColors.light)}}html:root.dark{${colorDeclarations(pageColors.dark)}}`

export default defineConfig({
  srcDir: '.pages',
  outDir: 'dist',
  cacheDir: '.vitepress/cache',
  lang: 'en',
  title: 'patch-moe',
  description: 'Patch-level mixtures of experts for vision networks in TensorFlow.js.',
  head: [
    ['style', {}, colors],
    [
      'link',
      {
        rel: 'icon',
        href: 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect width="4" height="4" fill="%2310161d"/><path d="M0 1h1v1H0zM2 0h1v1H2zM3 2h1v1H3zM1 3h1v1H1z" fill="%23ff9d1e"/></svg>',
      },
    ],
  ],
  markdown: {
    html: false,
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config: md => liveFigures(md),
  },
  themeConfig: {
    nav: [
      {
        text: 'Guides',
        link: '/own-images',
        activeMatch: `^/(${guides.pages.map(({ address }) => address).join('|')})$`,
      },
      { text: 'Method', link: '/method' },
      { text: 'Choosing', link: '/choosing' },
      { text: 'Results', link: '/results/', activeMatch: '^/results/' },
      {
        text: 'Reference',
        items: [
          { text: 'Command line', link: '/cli' },
          { text: 'Settings of a run', link: '/settings' },
          ...api.pages.slice(0, 1).map(() => ({ text: 'API', link: '/api/' })),
        ],
      },
      ...programPages.map(({ title, address }) => ({ text: title, link: `/${address}` })),
      { text: 'Limits', link: '/limits' },
    ],
    sidebar: {
      '/results/': [menu(results), menu({ title: 'Studies', pages: studies })],
      '/': [guides, method, results, reference, api].filter(({ pages }) => pages.length > 0).map(menu),
    },
    outline: [2, 3],
    search: { provider: 'local' },
    docFooter: { prev: 'Before', next: 'Next' },
  },
})
