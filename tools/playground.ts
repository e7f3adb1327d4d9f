// The playground as a page of its own: index.html, its scripts, tfjs's .wasm files and the samples that its tasks are made of.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Metafile } from 'esbuild'
import { pageStyle } from '../src/report/page-style.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'site', 'playground')
/** The samples that tasks of the playground are made of. */
const samples = ['digits8', 'fashion-mini']

/**
 * Bundles the playground into a folder that any server can serve.
 *
 * @param outdir is made where it is not there; other files in it stay
 * @returns esbuild's record of inputs and outputs
 */
export async function buildPlayground(outdir: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { playground: join(source, 'standalone.ts'), worker: join(source, 'worker', 'worker.ts') },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // The sources register layers when they are imported; package.json names only the built files that do.
    ignoreAnnotations: true,
    chunkNames: 'shared-[hash]',
    outdir,
    metafile: true,
    logLevel: 'warning',
  })
  copyPlaygroundAssets(outdir)
  const page = readFileSync(join(source, 'index.html'), 'utf8')
  writeFileSync(join(outdir, 'index.html'), page.replace('/* page style */', pageStyle))
  return metafile
}

/** Puts the files that a playground reads into a folder: `samples/` and `wasm/`. */
export function copyPlaygroundAssets(outdir: string): void {
  mkdirSync(outdir, { recursive: true })
  for (const name of samples)
    cpSync(join(root, 'samples', name), join(outdir, 'samples', name), { recursive: true })
  const wasm = dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))
  cpSync(wasm, join(outdir, 'wasm'), {
    recursive: true,
    filter: path => path === wasm || path.endsWith('.wasm'),
  })
}
