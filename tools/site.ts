/**
 * Builds the site of the project into site/dist, and serves it on this computer.
 *
 *   npm run site           (npm run site -- --no-api leaves the pages of the API out)
 *   npm run site:serve     (npm run site:serve -- --port 8000)
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { context } from 'esbuild'
import { build } from 'vitepress'

import { buildPrograms } from './site/programs.js'
import { writeSourcePages } from './site/source-pages.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const site = join(root, 'site')
const pages = join(site, '.pages')
const dist = join(site, 'dist')

async function buildSite({ api }: { readonly api: boolean }): Promise<void> {
  await writeSourcePages(root, pages)
  await buildPrograms(join(pages, 'public', 'programs'))
  if (api) {
    // typedoc is loaded only where it is needed: it takes seconds.
    const { writeApiPages } = await import('./site/api-pages.js')
    await writeApiPages(root, join(pages, 'api'))
  }
  await rm(dist, { recursive: true, force: true })
  await build(site)
}

async function serveSite({ port }: { readonly port: string }): Promise<void> {
  const server = await context({})
  try {
    const served = await server.serve({ servedir: dist, port: Number(port), host: '127.0.0.1' })
    if (!existsSync(join(dist, 'index.html')))
      throw new Error('site/dist must hold the site, got no index.html in it (npm run site builds it)')
    console.log(`Open http://127.0.0.1:${served.port}`)
  } catch (error) {
    // Else it would keep this program from ending.
    await server.dispose()
    throw error
  }
}

const command = new Command('site')
  .description('Builds the site of the project, and serves it.')
  .exitOverride()
command
  .command('build')
  .description('writes the site into site/dist')
  .option('--no-api', 'leave the pages of the API out, which take most of the time')
  .action(buildSite)
command
  .command('serve')
  .description('serves site/dist on this computer alone')
  .option('--port <number>', 'port', '8080')
  .action(serveSite)

try {
  await command.parseAsync()
} catch (error) {
  const isCommander = error instanceof CommanderError
  if (!isCommander) console.error(`site: ${(error as Error).message}`)
  process.exitCode = isCommander ? (error.exitCode === 0 ? 0 : 2) : 1
}
