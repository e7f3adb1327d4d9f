// Builds the page and serves it:
//
//   node examples/training/serve.mjs [PORT]
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, extname, join, normalize, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const [port = '8080'] = process.argv.slice(2)
const here = dirname(fileURLToPath(import.meta.url))
const folders = {
  digits8: join(here, '..', '..', 'samples', 'digits8'),
  wasm: dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm'))),
}
const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

const { outputFiles } = await build({
  entryPoints: [join(here, 'page.js')],
  bundle: true,
  splitting: true,
  write: false,
  outdir: '/',
  format: 'esm',
  minify: true,
  logLevel: 'warning',
  // The page may be tried against the sources, of which the package does not say which register layers.
  ...(process.env.PATCH_MOE && {
    alias: {
      'patch-moe/data': join(process.env.PATCH_MOE, 'data', 'index.ts'),
      'patch-moe': join(process.env.PATCH_MOE, 'index.ts'),
    },
    ignoreAnnotations: true,
  }),
})
const bundles = new Map(outputFiles.map(({ path, contents }) => [path.replaceAll(sep, '/'), contents]))

/** The bytes at an address; undefined where there are none. */
async function bytesAt(path) {
  if (path === '/') return readFile(join(here, 'index.html'))
  if (bundles.has(path)) return bundles.get(path)
  const [, folder = '', ...rest] = path.split('/')
  const file = normalize(rest.join('/'))
  if (!Object.hasOwn(folders, folder) || file.startsWith('..')) return undefined
  return readFile(join(folders[folder], file)).catch(() => undefined)
}

const server = createServer(async ({ url = '/', method }, response) => {
  const { pathname } = new URL(url, 'http://localhost')
  const bytes = await bytesAt(pathname)
  // Such a page is cross-origin isolated: WebAssembly computes with threads in it.
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
  response.setHeader('Content-Type', types[extname(pathname) || '.html'] ?? 'application/octet-stream')
  response.statusCode = bytes ? 200 : 404
  response.end(method === 'HEAD' ? undefined : bytes)
})
server.listen(Number(port), '127.0.0.1', () => console.log(`Open http://localhost:${server.address().port}`))
