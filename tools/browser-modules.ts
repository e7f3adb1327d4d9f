// The package as ES modules for pages without a bundler. tfjs-core, tfjs-layers and tfjs's backends stay imports,
// which the page's import map resolves, so that the page's own tfjs is used; everything else is bundled. One module, with-tfjs.js, has
// tfjs within, for pages without an import map.
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

/** The module with tfjs within: all of the first entry point, tfjs-core as `tf` and tfjs-layers as `tfl`. */
const withTfjs = `export * from './src/index.ts'
export * as tf from '@tensorflow/tfjs-core'
export * as tfl from '@tensorflow/tfjs-layers'`

const shared = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  // The sources register layers when they are imported; package.json names only the built files that do.
  ignoreAnnotations: true,
  chunkNames: 'shared-[hash]',
  metafile: true,
  logLevel: 'warning',
} as const

/**
 * Bundles the entry points into a folder.
 *
 * @param outdir folder of the modules `NAME.js` and of what they share
 * @returns esbuild's record of inputs and outputs
 */
export async function buildForBrowsers(outdir: string): Promise<Metafile> {
  const external = ['@tensorflow/*']
  const { metafile } = await build({ ...shared, entryPoints: browserEntries, external, outdir })
  return metafile
}

/**
 * Bundles `with-tfjs.js` and its backends, which are loaded when they are asked for.
 *
 * @param outdir its folder
 */
export async function buildWithTfjs(outdir: string): Promise<void> {
  const stdin = { contents: withTfjs, resolveDir: root, loader: 'ts' } as const
  const entryNames = 'with-tfjs'
  await build({ ...shared, stdin, entryNames, outdir })
}
