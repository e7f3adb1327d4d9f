/** Where the experts of a network look, and what both networks say, in one reading for the page. */
import { boxAt, pickBoxes } from '../../../src/data/compose/object-box.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import { firstImages } from '../../../src/data/image-stream.js'
import { TwoLayerExperts } from '../../../src/layers/moe/two-layer-experts.js'
import { evaluate } from '../../../src/train/evaluate.js'
import {
  type RoutedLabels,
  type RoutingMetrics,
  routingMetrics,
} from '../../../src/train/routing/routing-metrics.js'
import { type RoutingRecord, recordRouting } from '../../../src/train/routing/routing-record.js'
import type { ExpertPicture, Look, NetworkName } from '../protocol.js'
import { imagesFor, layersModel, type Network } from './networks.js'

/**
 * Looks at the test images with both networks.
 *
 * @param wall how many of the test images, the first ones, are on the wall
 * @param epoch epochs that the mixture was trained
 */
export async function lookOf(
  networks: Readonly<Record<NetworkName, Network>>,
  test: PixelSet,
  wall: number,
  epoch: number,
): Promise<Look> {
  const { dense, mixture } = networks
  const record = await recordRouting(mixture, imagesFor(mixture, test))
  const wallImages = (await firstImages(test, wall)) as PixelSet
  const predicted = {
    dense: await predictedOf(dense, wallImages),
    mixture: await predictedOf(mixture, wallImages),
  }
  const routers = await routerPictures(mixture)
  const nothing = { numExperts: 0, patchesPerExpert: 0, indices: new Int32Array(), gates: new Float32Array() }
  if (!record) return { epoch, predicted, ...nothing, ...(routers && { routers }) }
  const { grid, numExperts, patchesPerExpert, indices, gates } = record
  const shown = wall * numExperts * patchesPerExpert
  const metrics = metricsOf(record, test)
  return {
    ...{ epoch, predicted, grid, numExperts, patchesPerExpert },
    indices: indices.slice(0, shown),
    gates: gates.slice(0, shown),
    ...(metrics && { metrics }),
    ...(routers && { routers }),
    meanPatches: meanPatches(record, test),
  }
}

async function predictedOf(network: Network, images: PixelSet): Promise<Int32Array> {
  const set = imagesFor(network, images)
  const { predictions } = await evaluate(network, set, { batchSize: images.count, predictions: true })
  return (predictions as NonNullable<typeof predictions>).predicted
}

/** The library's measures; where only some images show a thing, as scratched ones do, they are of these. */
function metricsOf(record: RoutingRecord, test: PixelSet): RoutingMetrics | undefined {
  const { labels, classNames, objectBox, cells, trueCell, shape } = test
  const numClasses = classNames.length
  if (!objectBox) {
    const truth: Partial<RoutedLabels> = cells && trueCell ? { cells, trueCell } : {}
    return routingMetrics(record, { labels, numClasses, ...truth })
  }
  const shows = Int32Array.from(labels.keys()).filter(image => boxAt(objectBox, image)[2] > 0)
  if (shows.length === 0) return undefined
  return routingMetrics(recordAt(record, shows), {
    labels: shows.map(image => labels[image] as number),
    numClasses,
    objectBox: pickBoxes(objectBox, shows),
    imageSize: [shape[0], shape[1]],
  })
}

/** The routing of some of the images. */
function recordAt(record: RoutingRecord, images: Int32Array): RoutingRecord {
  const { numExperts, patchesPerExpert } = record
  const size = numExperts * patchesPerExpert
  const indices = new Int32Array(images.length * size)
  const gates = new Float32Array(images.length * size)
  for (const [to, image] of images.entries()) {
    indices.set(record.indices.subarray(image * size, (image + 1) * size), to * size)
    gates.set(record.gates.subarray(image * size, (image + 1) * size), to * size)
  }
  return { ...record, count: images.length, indices, gates }
}

/** What each router of a layer on pixels multiplies a patch with: grey is 0, the largest weight of the expert is white or black. */
async function routerPictures(network: Network): Promise<readonly ExpertPicture[] | undefined> {
  const layer = layersModel(network).layers.find(candidate => candidate instanceof TwoLayerExperts)
  const router = layer?.weights[0]
  if (!router) return undefined
  const [height, width, channels, experts] = router.shape as [number, number, number, number]
  const weights = await router.read().data()
  const size = height * width * channels
  return Array.from({ length: experts }, (_, expert) => {
    const own = Float32Array.from({ length: size }, (_, i) => weights[i * experts + expert] as number)
    const largest = own.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0)
    const pixels = Uint8Array.from(own, weight => 128 + 127 * (largest > 0 ? weight / largest : 0))
    return { shape: [height, width, channels], pixels }
  })
}

/** The mean of the patches that each expert keeps, weighed by their gates. */
function meanPatches(record: RoutingRecord, { images, shape }: PixelSet): readonly ExpertPicture[] {
  const { grid, count, numExperts, patchesPerExpert, indices, gates } = record
  const [height, width, channels] = shape
  const [rows, columns] = [Math.floor(height / grid[0]), Math.floor(width / grid[1])]
  const rowSize = columns * channels
  return Array.from({ length: numExperts }, (_, expert) => {
    const sum = new Float64Array(rows * rowSize)
    let total = 0
    for (let slot = 0; slot < count * patchesPerExpert; slot++) {
      const image = Math.floor(slot / patchesPerExpert)
      const at = (image * numExperts + expert) * patchesPerExpert + (slot % patchesPerExpert)
      const [patch, gate] = [indices[at] as number, gates[at] as number]
      const [top, left] = [Math.floor(patch / grid[1]) * rows, (patch % grid[1]) * columns]
      total += gate
      for (let row = 0; row < rows; row++) {
        const from = ((image * height + top + row) * width + left) * channels
        for (let i = 0; i < rowSize; i++) sum[row * rowSize + i]! += gate * (images[from + i] as number)
      }
    }
    const pixels = Uint8Array.from(sum, value => (total > 0 ? value / total : 0))
    return { shape: [rows, columns, channels], pixels }
  })
}
