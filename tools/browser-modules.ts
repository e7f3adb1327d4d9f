// The package as ES modules for pages without a bundler. tfjs-core, tfjs-layers and tfjs's backends stay imports,
// which the page's import map resolves, so that the page's own tfjs is used; everything else is bundled.
import { fileURLToPath } from 'node:url'
import { build, type Metafile } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The entry points that run in a browser, by the names of their modules. */
export const browserEntries = {
  'patch-moe': 'src/index.ts',
  data: 'src/data/index.ts',
  prune: 'src/prune/index.ts',
  statistics: 'src/statistics/index.ts',
  theory: 'src/theory/index.ts',
}

/**
 * Bundles the entry points into a folder.
 *
 * @param outdir folder of the modules `NAME.js` and of what they share
 * @returns esbuild's record of inputs and outputs
 */
export async function buildForBrowsers(outdir: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: browserEntries,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['@tensorflow/*'],
    // The sources register layers when they are imported; package.json names only the built files that do.
    ignoreAnnotations: true,
    chunkNames: 'shared-[hash]',
    outdir,
    metafile: true,
    logLevel: 'warning',
  })
  return metafile
}
