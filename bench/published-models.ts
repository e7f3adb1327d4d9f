/**
 * Puts a mixture of experts into trained models that an npm package ships, and prints how far the new outputs are from
 * the old ones: MobileNetV2 (224x224) and InceptionV3 (299x299), converted from Keras, out of the package `nsfwjs`
 * (25 MB; no dependency of this one).
 *
 *     npm pack nsfwjs@4.4.0 && tar xzf nsfwjs-4.4.0.tgz && npx tsx bench/published-models.ts package
 *
 * For each model the last convolution that fits, and the last on a larger map, become 4 experts with patches of one
 * pixel.
 */
import { resolve } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { textTable } from '../scripts/terminal/text-table.js'
import { useBackend } from '../src/backend/choose.js'
import { disposeModel } from '../src/models/dispose-model.js'
import { insertPatchMoE } from '../src/models/insert-patch-moe.js'
import { planPatchMoE } from '../src/models/plan-patch-moe.js'
import { publishedNetwork } from './published-network.js'

async function rowsOf(name: string, model: tfl.LayersModel): Promise<string[][]> {
  const { convolutions, chosen } = planPatchMoE(model)
  const fitting = convolutions.filter(({ mixture }) => mixture)
  const last = fitting.find(({ path }) => path === chosen)
  const larger = fitting.findLast(({ map }) => map[0] > (last?.map[0] ?? 0))
  const rows: string[][] = []
  for (const { path, mixture, map } of [last, larger].flatMap(fitted => (fitted ? [fitted] : []))) {
    const [all, quarter] = [mixture?.patches ?? 0, mixture?.patchesPerExpert ?? 0]
    const options = { layer: path, numExperts: 4, patchSize: 1 }
    const whole = await insertPatchMoE(model, { ...options, patchesPerExpert: all })
    const fewer = await insertPatchMoE(model, { ...options, patchesPerExpert: quarter })
    const numbers = [whole.difference, whole.change, fewer.change, whole.magnitude]
    rows.push([name, path, map.join('x'), ...numbers.map(value => value.toPrecision(2))])
    for (const inserted of [whole, fewer]) disposeModel(inserted.model)
  }
  return rows
}

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.log(
    'Give the folder of the unpacked npm package nsfwjs; see the head of bench/published-models.ts.',
  )
  process.exit(2)
}
const { name: backend } = await useBackend('auto')
const rows: string[][] = []
for (const name of ['mobilenet_v2', 'inception_v3']) {
  const model = await publishedNetwork(resolve(folder), name)
  rows.push(...(await rowsOf(name, model)))
  disposeModel(model)
}
const columns = [
  'model',
  'convolution',
  'map',
  'difference',
  'change at l = n',
  'at l = n/4',
  'greatest output',
]
console.log(`backend ${backend}\n${textTable(columns, rows)}`)
