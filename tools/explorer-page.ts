// The page of the explorer, bundled: what `pmoe explore` serves from dist/explorer.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const sources = fileURLToPath(new URL('../site/explorer', import.meta.url))

/** Bundles the page in memory: `index.html`, its script, and the licences of what is in that. */
export async function bundledExplorer(): Promise<(readonly [name: string, bytes: Uint8Array])[]> {
  const { outputFiles } = await build({
    entryPoints: { explorer: join(sources, 'page.ts') },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    legalComments: 'linked',
    outdir: sources,
    write: false,
    logLevel: 'warning',
  })
  const files = outputFiles.map(({ path, contents }) => [basename(path), contents] as const)
  return [['index.html', readFileSync(join(sources, 'index.html'))], ...files]
}

/** Writes the page into a folder. */
export async function buildExplorer(outdir: string): Promise<void> {
  mkdirSync(outdir, { recursive: true })
  for (const [name, bytes] of await bundledExplorer()) writeFileSync(join(outdir, name), bytes)
}

/**
 * Writes a page by itself, on which networks and images are dropped, into a folder: `index.html`, a script, a worker and what that
 * loads.
 */
export async function buildDroppedExplorer(outdir: string): Promise<void> {
  await build({
    entryPoints: { explorer: join(sources, 'dropped/page.ts'), worker: join(sources, 'dropped/worker.ts') },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // The sources register layers when they are imported; package.json names only the built files that do.
    ignoreAnnotations: true,
    outdir,
    logLevel: 'warning',
  })
  copyFileSync(join(sources, 'index.html'), join(outdir, 'index.html'))
  const wasm = dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))
  mkdirSync(join(outdir, 'wasm'), { recursive: true })
  for (const name of readdirSync(wasm).filter(file => file.endsWith('.wasm'))) {
    copyFileSync(join(wasm, name), join(outdir, 'wasm', name))
  }
}
