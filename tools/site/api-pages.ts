import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Application } from 'typedoc'
import { browserEntries } from '../browser-modules.js'

/** The entry points of the package, by the names that users import. */
const entries = { ...browserEntries, node: 'src/node.ts' }

/**
 * Writes the API as Markdown, one page an entry point.
 *
 * @param root folder of the project
 * @throws Error where typedoc finds faults in the sources
 */
export async function writeApiPages(root: string, folder: string): Promise<void> {
  const app = await Application.bootstrapWithPlugins({
    entryPoints: Object.values(entries).map(path => join(root, path)),
    tsconfig: join(root, 'tsconfig.build.json'),
    plugin: ['typedoc-plugin-markdown'],
    skipErrorChecking: true,
    excludePrivate: true,
    excludeProtected: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    readme: 'none',
    logLevel: 'Error',
    ...{
      router: 'module',
      hideBreadcrumbs: true,
      hidePageHeader: true,
      useCodeBlocks: true,
      parametersFormat: 'table',
      interfacePropertiesFormat: 'table',
      entryFileName: 'index',
    },
  })
  const project = await app.convert()
  if (!project) throw new Error('typedoc could not read the sources')
  await app.generateOutputs(project)
  if (!existsSync(folder)) throw new Error(`typedoc wrote nothing into ${folder}`)
}
