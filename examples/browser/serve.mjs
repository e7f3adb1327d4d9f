// Builds the page and serves it with a model:
//
//   node examples/browser/serve.mjs MODEL_FOLDER [PORT]
import { cp, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { context } from 'esbuild'

const [folder, port = '8080'] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: node examples/browser/serve.mjs MODEL_FOLDER [PORT]')
  process.exit(2)
}
const here = dirname(fileURLToPath(import.meta.url))
const site = await mkdtemp(join(tmpdir(), 'patch-moe-page-'))
await cp(join(here, 'index.html'), join(site, 'index.html'))
await cp(folder, join(site, 'model'), { recursive: true })
const wasm = dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))
await cp(wasm, join(site, 'wasm'), { recursive: true, filter: path => !/\.(js|ts|map)$/.test(path) })

const bundle = await context({
  entryPoints: [join(here, 'main.js')],
  bundle: true,
  splitting: true,
  format: 'esm',
  minify: true,
  outdir: site,
  logLevel: 'warning',
  // The page may be tried against the sources, of which the package does not say which register layers.
  ...(process.env.PATCH_MOE && { alias: { 'patch-moe': process.env.PATCH_MOE }, ignoreAnnotations: true }),
})
await bundle.rebuild()
const { port: opened } = await bundle.serve({ servedir: site, port: Number(port), host: '127.0.0.1' })
console.log(`Open http://localhost:${opened}`)
