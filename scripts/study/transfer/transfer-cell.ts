import { basename } from 'node:path'
import * as tfl from '@tensorflow/tfjs-layers'
import { testSeed } from '../../../src/data/datasets/dataset.js'
import { fashionRoles } from '../../../src/data/datasets/fashion.js'
import type { ImageSet, PixelSet } from '../../../src/data/image-set.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { deriveSeed } from '../../../src/random.js'
import type { BodyOrigin } from '../../experiments/transfer-experiment.js'
import { openModel } from '../../run/opened-model.js'
import type { Cell } from '../cell.js'
import type { Transferred } from '../cell-result.js'
import { bodyOf, type ComparedMap, comparedMaps, shareOf, type TransferGrid } from '../grids/transfer-grid.js'
import { type Body, type BodyMap, featureSets, ownBody, publishedBody, standardised } from './bodies.js'
import {
  type ComparedLayer,
  patchesOf,
  trainedLayer,
  trainLayer,
  withComparedLayer,
} from './compared-layer.js'
import { composeScenes, loadSceneParts, type SceneParts } from './scenes.js'

/** What a cell is run with. */
export interface TransferWork {
  /** Folder of the pretrained network; without it the study's own is pretrained. */
  readonly network: string | undefined
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
}

type Layers = Transferred['layers']

/**
 * Trains every layer of a cell on every of its maps, on the same images and from the same weights.
 *
 * @throws RangeError for a network without the maps; DivergenceError when a training diverges; the reason of the signal when it
 *   was aborted
 */
export async function transferTo(grid: TransferGrid, cell: Cell, work: TransferWork): Promise<Transferred> {
  const origin = bodyOf(cell)
  const parts = await loadSceneParts()
  const maps = comparedMaps(grid, cell)
  const sides = maps.map(({ side }) => side)
  const body =
    origin === 'pretrained' ? await pretrainedBody(grid, parts.train, sides, work) : ownBody(sides, cell.seed)
  const scenes = { ...fashionRoles, share: shareOf(cell) / 100, side: body.side }
  const images = {
    train: composeScenes({ ...parts.train, ...scenes, count: cell.samples ?? 0, seed: cell.seed }),
    test: composeScenes({ ...parts.test, ...scenes, count: grid.testSamples, seed: testSeed }),
  }
  const run = { grid, cell, origin, ...work }
  const layers =
    origin === 'pretrained'
      ? await behindFrozen(run, body, maps, images)
      : await fromScratch(run, maps, images)
  const isNamed = origin === 'pretrained' && work.network !== undefined
  return { ...(isNamed && { network: basename(work.network) }), imageSide: body.side, layers }
}

interface CellImages {
  readonly train: PixelSet
  readonly test: PixelSet
}

interface CellTraining extends TransferWork {
  readonly grid: TransferGrid
  readonly cell: Cell
  readonly origin: BodyOrigin
}

/** Layers that learn from maps which are computed once. */
async function behindFrozen(
  run: CellTraining,
  body: Body,
  maps: readonly ComparedMap[],
  images: CellImages,
): Promise<Layers> {
  const train = await featureSets(body, images.train, run.signal)
  const test = await testFeatures(run, body, images.test)
  const layers: Layers[number][] = []
  for (const [i, map] of body.maps.entries()) {
    const sets = standardised(train[i] as ImageSet<Float32Array>, test[i] as ImageSet<Float32Array>)
    for (const compared of layersOn(maps.find(({ side }) => side === map.side))) {
      const input = tfl.input({ shape: [...sets.train.shape] })
      const trained = await trainedOn(run, { input, tensor: input }, compared, sets)
      layers.push({
        ...describe(map, compared),
        ...trained,
        multiplyAdds: map.multiplyAdds + trained.multiplyAdds,
        layerMultiplyAdds: trained.multiplyAdds,
      })
    }
  }
  return layers
}

/** Maps of test images that this process has computed: the seeds of a study have the same. */
const computed = new Map<string, Promise<ImageSet<Float32Array>[]>>()

async function testFeatures(
  { grid, cell, network, signal }: CellTraining,
  body: Body,
  images: PixelSet,
): Promise<ImageSet<Float32Array>[]> {
  const sides = body.maps.map(({ side }) => side)
  const key = JSON.stringify([network ?? grid.pretraining, cell.setting, images.count, sides])
  const computing = computed.get(key) ?? featureSets(body, images, signal)
  computed.set(key, computing)
  try {
    return await computing
  } catch (error) {
    computed.delete(key)
    throw error
  }
}

/** Networks of which every layer is trained; each has the body's initial weights. */
async function fromScratch(
  run: CellTraining,
  maps: readonly ComparedMap[],
  images: CellImages,
): Promise<Layers> {
  const layers: Layers[number][] = []
  for (const wanted of maps) {
    for (const compared of layersOn(wanted)) {
      const { input, maps: own } = ownBody([wanted.side], run.cell.seed)
      const map = own[0] as BodyMap
      const trained = await trainedOn(run, { input, tensor: map.tensor }, compared, images)
      layers.push({
        ...describe(map, compared),
        ...trained,
        layerMultiplyAdds: trained.multiplyAdds - map.multiplyAdds,
      })
    }
  }
  return layers
}

/** The dense layer, and the mixtures of a map. */
function layersOn(map: ComparedMap | undefined): ComparedLayer[] {
  const mixtures = map?.kept ?? []
  return [{}, ...mixtures.map(kept => ({ kept }))]
}

async function trainedOn(
  { grid, cell, origin, signal }: CellTraining,
  { input, tensor }: Pick<BodyMap, 'tensor'> & Pick<Body, 'input'>,
  compared: ComparedLayer,
  sets: { readonly train: ImageSet; readonly test: ImageSet },
) {
  const { seed } = cell
  const { learningRates, ...training } = grid.training[origin]
  const learningRate = learningRates[compared.kept === undefined ? 'dense' : 'mixture']
  const numClasses = sets.train.classNames.length
  const model = withComparedLayer(input, tensor, compared, { numClasses, seed })
  try {
    return await trainedLayer(model, { ...sets, training: { ...training, learningRate }, seed, signal })
  } finally {
    disposeModel(model)
  }
}

function describe({ side, layer, channels, field }: BodyMap, { kept }: ComparedLayer) {
  const { patchSize, patches } = patchesOf(side)
  return {
    map: side,
    after: layer,
    channels,
    ...(field !== undefined && { field }),
    ...(kept !== undefined && { kept, patchSize, patches }),
  }
}

/** Bodies that this process has opened or trained: every cell of a study has the same. */
const pretrained = new Map<string, Promise<tfl.LayersModel | Body>>()

async function pretrainedBody(
  grid: TransferGrid,
  parts: SceneParts,
  sides: readonly number[],
  { network, signal }: TransferWork,
): Promise<Body> {
  const key = network ?? JSON.stringify(grid.pretraining)
  const opening = pretrained.get(key) ?? opened(grid, parts, network, signal)
  pretrained.set(key, opening)
  try {
    const body = await opening
    if (!('maps' in body)) return publishedBody(body, sides)
    return { ...body, maps: body.maps.filter(({ side }) => sides.includes(side)) }
  } catch (error) {
    pretrained.delete(key)
    throw error
  }
}

async function opened(
  grid: TransferGrid,
  parts: SceneParts,
  network: string | undefined,
  signal: AbortSignal,
): Promise<tfl.LayersModel | Body> {
  return network === undefined ? pretrain(grid, parts, signal) : (await openModel(network)).model
}

/** Percent of the image that the clothes fill on which the study's own network is pretrained, in turns. */
const pretrainedShares = [10, 25, 50, 100] as const
const pretrainedSides = [32, 16, 8, 4] as const
const pretrainedSeed = deriveSeed(0, 'pretraining')

/** Trains the study's own network to tell clothes apart, and keeps what stands before its last layer. */
async function pretrain(
  { pretraining }: TransferGrid,
  parts: SceneParts,
  signal: AbortSignal,
): Promise<Body> {
  const body = ownBody(pretrainedSides, pretrainedSeed)
  const last = body.maps.at(-1) as BodyMap
  const sets = pretrainedShares.map((share, i) =>
    composeScenes({
      ...parts,
      targets: fashionRoles.distractors,
      distractors: [],
      share: share / 100,
      side: body.side,
      count: Math.ceil(pretraining.samples / pretrainedShares.length),
      seed: deriveSeed(pretrainedSeed, `share ${i}`),
    }),
  )
  const train = joined(sets)
  const { classNames } = train
  const model = withComparedLayer(
    body.input,
    last.tensor,
    {},
    {
      numClasses: classNames.length,
      seed: pretrainedSeed,
    },
  )
  await trainLayer(model, { train, training: pretraining, seed: pretrainedSeed, signal })
  return body
}

function joined(sets: readonly PixelSet[]): PixelSet {
  const [first] = sets as [PixelSet]
  const count = sets.reduce((sum, set) => sum + set.count, 0)
  const images = new Uint8Array(sets.reduce((sum, set) => sum + set.images.length, 0))
  const labels = new Int32Array(count)
  let position = 0
  for (const set of sets) {
    images.set(set.images, (position * first.images.length) / first.count)
    labels.set(set.labels, position)
    position += set.count
  }
  const { shape, classNames } = first
  return { images, labels, count, shape, classNames }
}
