// Builds the package into dist/: the compiled modules, the command line, the modules for pages without a bundler,
// and the page of the explorer.
//
//   npm run build
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildForBrowsers, buildWithTfjs } from './browser-modules.js'
import { buildExplorer } from './explorer-page.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
// Files of modules that are gone must not stay in the package.
rmSync(dist, { recursive: true, force: true })
const compiler = fileURLToPath(import.meta.resolve('typescript/bin/tsc'))
const compilation = [compiler, '-p', join(root, 'tsconfig.build.json')]
const { status } = spawnSync(process.execPath, compilation, { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
chmodSync(join(dist, 'scripts/cli.js'), 0o755)
// It is compiled where native TensorFlow is.
const addon = 'src/backend/native/collective.cc'
copyFileSync(join(root, addon), join(dist, addon))
await buildForBrowsers(join(dist, 'browser'))
await buildWithTfjs(join(dist, 'browser'))
await buildExplorer(join(dist, 'explorer'))
