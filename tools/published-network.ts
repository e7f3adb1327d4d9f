/**
 * Writes a trained network of the npm package `nsfwjs` as a folder that tfjs reads: model.json and its weights.
 *
 *     npm pack nsfwjs@4.4.0 && tar xzf nsfwjs-4.4.0.tgz
 *     npx tsx tools/published-network.ts package mobilenet_v2 --out mobilenet_v2
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, CommanderError } from 'commander'
import { publishedNetwork } from '../bench/published-network.js'
import { UsageError } from '../scripts/terminal/usage-error.js'
import { useBackend } from '../src/backend/choose.js'
import { fileSystem } from '../src/files/model-files.js'

async function write(folder: string, name: string, { out }: { readonly out: string }): Promise<void> {
  if (existsSync(out)) throw new UsageError(`--out must not be there yet, got ${out}`)
  await useBackend('wasm')
  const model = await publishedNetwork(resolve(folder), name)
  await model.save(fileSystem(out))
  console.log(`${out}: ${model.countParams()} weights, images ${model.inputs[0]?.shape.slice(1).join('x')}`)
}

try {
  await new Command('published-network')
    .description('Writes a trained network of the npm package nsfwjs as a tfjs folder.')
    .argument('<folder>', 'the unpacked package')
    .argument('<name>', 'mobilenet_v2, mobilenet_v2_mid or inception_v3')
    .requiredOption('--out <folder>', 'folder to make')
    .exitOverride()
    .action(write)
    .parseAsync()
} catch (error) {
  const isCommander = error instanceof CommanderError
  if (!isCommander) console.error(`published-network: ${(error as Error).message}`)
  process.exitCode = isCommander ? (error.exitCode === 0 ? 0 : 2) : error instanceof UsageError ? 2 : 1
}
