import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { copyPlaygroundAssets } from '../playground.js'

const sources = fileURLToPath(new URL('../../site', import.meta.url))

/** The scripts of the site's programs, which its theme loads when a reader comes to them, and those of their workers. */
const scripts = {
  method: 'method/main.ts',
  playground: 'playground/main.ts',
  'playground-worker': 'playground/worker/worker.ts',
  explorer: 'explorer/main.ts',
  'explorer-source': 'explorer/dropped/dropped-source.ts',
  'explorer-worker': 'explorer/dropped/worker.ts',
}

/**
 * Bundles the programs of the site, and lays beside them what they read: `samples/` and `wasm/`. What they share, tfjs above all, is
 * loaded once.
 *
 * @param outdir is made where it is not there
 */
export async function buildPrograms(outdir: string): Promise<void> {
  await build({
    absWorkingDir: sources,
    entryPoints: scripts,
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
    logLevel: 'warning',
  })
  copyPlaygroundAssets(outdir)
}
