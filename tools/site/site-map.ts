/** A page as the menu has it: its address without `.html`, and what it is called. */
export interface ListedPage {
  readonly address: string
  readonly title: string
}

/** A page that shows a text of the project, by the text's path in it. */
export interface SitePage extends ListedPage {
  readonly source: string
}

/** Pages that stand together in the menu. */
export interface SiteGroup<Page extends ListedPage = ListedPage> {
  readonly title: string
  readonly pages: readonly Page[]
}

/** A page of docs, at the address of its file's name. */
const doc = (name: string, title: string): SitePage => ({ source: `docs/${name}.md`, address: name, title })

/** The first page: the README. */
export const homePage: SitePage = { source: 'README.md', address: 'index', title: 'patch-moe' }

/** All pages but the first, those of the studies and those of the API, in the order of the menu. */
export const siteGroups: Readonly<
  Record<'guides' | 'method' | 'results' | 'reference', SiteGroup<SitePage>>
> = {
  guides: {
    title: 'Guides',
    pages: [
      doc('own-images', 'Your own images'),
      doc('data', 'Data'),
      doc('plug-in', 'In your own network'),
      doc('transfer', 'A trained network'),
      doc('frozen-layers', 'Frozen layers'),
      doc('augmentation', 'Varied images'),
      doc('evaluation', 'Evaluation'),
      doc('large-images', 'Large images'),
      doc('pruning', 'Pruning experts'),
      doc('explore', 'Explore a trained network'),
      doc('fast-answers', 'Fast answers, exports'),
      doc('exports', 'Narrow numbers'),
      doc('backends', 'Backends'),
      doc('gpu', 'GPUs'),
      doc('pages', 'In a page'),
      doc('machines', 'Many machines'),
      doc('many-machines', 'One training on several machines'),
      doc('remote-data', 'Data on other machines'),
      doc('grids', 'Grids of runs'),
    ],
  },
  method: {
    title: 'Method',
    pages: [
      doc('method', 'The method'),
      doc('choosing', 'Choosing the settings'),
      doc('bound', 'The generalisation bound'),
      doc('routing-terms', 'Balance and diversity'),
      doc('sample-moe', 'One expert a sample'),
      doc('sample-networks', 'Networks as experts'),
    ],
  },
  results: {
    title: 'Results',
    pages: [
      { source: 'docs/results.md', address: 'results/index', title: 'All results' },
      { source: 'results/README.md', address: 'results/explained', title: 'What explains them' },
      doc('studies', 'How studies are run'),
      { source: 'bench/RESULTS.md', address: 'bench/results', title: 'Measured times' },
      { source: 'bench/NOTES.md', address: 'bench/notes', title: 'Notes on times' },
    ],
  },
  reference: {
    title: 'Reference',
    pages: [
      doc('cli', 'Command line'),
      doc('settings', 'Settings of a run'),
      doc('limits', 'Limits'),
      { source: 'PARITY.md', address: 'parity', title: 'Papers and code' },
      { source: 'CHANGELOG.md', address: 'changelog', title: 'Changes' },
      doc('architecture', 'Architecture'),
    ],
  },
}

/** The pages of the API, which typedoc writes, at the addresses of the entry points' sources. */
export const apiPages: readonly ListedPage[] = [
  { address: 'api/index', title: 'patch-moe' },
  ...['data', 'prune', 'statistics', 'theory', 'node'].map(name => ({
    address: `api/${name}`,
    title: `patch-moe/${name}`,
  })),
]

/** A page that a program of its own fills: `site/NAME/main.ts`. */
export interface ProgramPage extends ListedPage {
  /** Plain text under the title. */
  readonly summary: string
}

/** The pages with programs. */
export const programPages: readonly ProgramPage[] = [
  {
    address: 'playground',
    title: 'Playground',
    summary:
      'Two networks learn in this page, from the same images: a dense one that looks everywhere, and a mixture whose experts keep a few patches each. Nothing leaves the page.',
  },
  {
    address: 'explorer',
    title: 'Explorer',
    summary:
      'Drop the folder of a trained network here, and images: see what its experts keep, what is lost without a patch, and what fewer patches change. All is computed in this page; pmoe explore shows the same of a run on your disk.',
  },
]

/** The page of a study's results, with its figure. */
export function studyPageOf(study: string): SitePage {
  return { source: `results/${study}/table.md`, address: `results/${study}`, title: study }
}

/** Every page that is made of a text of the project. */
export function sitePages(studies: readonly string[]): SitePage[] {
  return [homePage, ...Object.values(siteGroups).flatMap(group => group.pages), ...studies.map(studyPageOf)]
}
