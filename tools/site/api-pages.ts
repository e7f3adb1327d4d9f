import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Application } from 'typedoc'
import { browserEntries } from '../browser-modules.js'
import { apiPages } from './site-map.js'

/** The page that typedoc writes besides those of the entry points. */
const overview = 'overview'

/**
 * Writes the API as Markdown, one page an entry point.
 *
 * @param root folder of the project
 * @param folder of the pages; typedoc empties no folder, whatever it is
 * @throws Error where typedoc cannot read the sources
 */
export async function writeApiPages(root: string, folder: string): Promise<void> {
  const entries = [...Object.values(browserEntries), 'src/node.ts']
  const options = {
    out: folder,
    cleanOutputDir: false,
    entryPoints: entries.map(path => join(root, path)),
    tsconfig: join(root, 'tsconfig.build.json'),
    plugin: ['typedoc-plugin-markdown'],
    // Types are checked elsewhere.
    skipErrorChecking: true,
    excludePrivate: true,
    excludeProtected: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    readme: 'none',
    logLevel: 'Error',
    // Of typedoc-plugin-markdown.
    router: 'module',
    entryFileName: overview,
    hideBreadcrumbs: true,
    hidePageHeader: true,
    useCodeBlocks: true,
    parametersFormat: 'table',
  }
  const app = await Application.bootstrapWithPlugins(options as Parameters<typeof Application.bootstrap>[0])
  const project = await app.convert()
  if (!project) throw new Error('typedoc could not read the sources')
  await app.generateOutputs(project)
  await rm(join(folder, `${overview}.md`), { force: true })
  for (const { address, title } of apiPages) {
    const path = join(folder, `${address.replace('api/', '')}.md`)
    await writeFile(path, (await readFile(path, 'utf8')).replace(/^# .*$/m, `# ${title}`))
  }
}
