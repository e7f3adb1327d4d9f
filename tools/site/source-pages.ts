import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { pageText } from './page-text.js'
import { homePage, type ListedPage, type ProgramPage, programPages, sitePages } from './site-map.js'

/** Front matter of pages without a menu at their side. */
const wide = '---\nsidebar: false\naside: false\n---\n\n'

/** The names of the studies whose results the project holds. */
export async function studiesOf(root: string): Promise<string[]> {
  const entries = await readdir(join(root, 'results'), { withFileTypes: true })
  const names = entries.filter(entry => entry.isDirectory()).map(({ name }) => name)
  return names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}

/**
 * Writes the Markdown of every page of the site, and what the pages show or offer, into a folder that is made anew.
 *
 * @param root folder of the project
 * @throws Error where a page is missing, or links to what is not there
 */
export async function writeSourcePages(root: string, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  const pages = sitePages(await studiesOf(root))
  const exists = (path: string) => existsSync(join(root, path))
  for (const page of pages) {
    const markdown = await readFile(join(root, page.source), 'utf8')
    const { text: unsized, files } = pageText(markdown, page, { pages, exists })
    const text = await withPictureSizes(unsized, files, root)
    await writePage(folder, page, page === homePage ? wide + text : text)
    for (const file of files) await cp(join(root, file), join(folder, 'public', file))
  }
  for (const page of programPages) await writePage(folder, page, programText(page))
}

/** A text whose pictures say their size, so that nothing moves when they come. */
async function withPictureSizes(text: string, files: readonly string[], root: string): Promise<string> {
  let sized = text
  for (const file of files.filter(path => /\.(png|jpg|svg)$/.test(path))) {
    const { width, height } = await sharp(join(root, file)).metadata()
    sized = sized.replaceAll(
      new RegExp(`\\]\\(/${file.replaceAll('.', '\\.')}\\)(?!\\{)`, 'g'),
      shown => `${shown}{width=${width} height=${height}}`,
    )
  }
  return sized
}

/** The text of a page whose program the theme puts below it. */
function programText({ address, title, summary }: ProgramPage): string {
  return `---\nlayout: page\nsidebar: false\nprogram: ${address}\ntitle: ${title}\n---\n\n# ${title}\n\n${summary}\n`
}

async function writePage(folder: string, { address }: ListedPage, text: string): Promise<void> {
  const path = join(folder, `${address}.md`)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}
