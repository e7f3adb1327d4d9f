import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../data/image-set.js'
import type { ImageStream } from '../data/image-stream.js'
import { withIntercepted } from '../layers/intercept.js'
import { placedLayers } from '../layers/layer-paths.js'
import { ownName } from './channel-rules.js'
import type { ChangedLayer, MixtureCut } from './channel-walk.js'
import { type Channels, othersThan } from './channels.js'
import { silenced } from './masked-network.js'
import { type ImagePassOptions, meansOverImages } from './observed-images.js'
import type { Compensation } from './operators.js'

/** A layer that reads channels, some of which go. */
interface Reader extends ChangedLayer {
  readonly reads: Channels
}

/** What the removed channels of each reader's input are replaced by, by its path. */
export type ChannelValues = ReadonlyMap<string, readonly number[]>

/** Classes of layers with a bias that a constant channel can go into. */
const WITH_BIAS: readonly string[] = ['Conv1D', 'Conv2D', 'Conv3D', 'Dense']

/**
 * The layers that get a bias for the channels that they no longer read.
 *
 * @throws RangeError naming a layer for which the compensation is not possible
 */
export function compensatedReaders(
  changed: ReadonlyMap<string, ChangedLayer>,
  compensate: Compensation,
  where: string,
): readonly Reader[] {
  const readers = [...changed.values()].filter((layer): layer is Reader => layer.reads !== undefined)
  if (compensate === 'none') return []
  for (const { path, layer } of readers) {
    const reason = refusalOf(layer, compensate)
    if (reason === undefined) continue
    throw new RangeError(
      `${where}: compensate '${compensate}' must be possible in every layer that reads removed channels, got layer ` +
        `${path} (${layer.getClassName()}): ${reason}`,
    )
  }
  return readers
}

function refusalOf(layer: tfl.layers.Layer, compensate: Compensation): string | undefined {
  const none = "compensate 'none' is possible"
  if (!WITH_BIAS.includes(layer.getClassName())) return `no bias of it can stand for a channel; ${none}`
  const { kernelSize = [], padding } = layer.getConfig() as { kernelSize?: number[]; padding?: string }
  const seesBorder = padding !== 'valid' && kernelSize.some(side => side > 1)
  if (compensate === 'mean' || !seesBorder) return undefined
  return (
    `its ${kernelSize.join('x')} kernel with padding '${padding}' sees zeros past the border, where a channel is not constant; ` +
    "compensate 'none' or 'mean' is possible"
  )
}

/** The same changes, with a bias for every compensated layer that has none. */
export function withBiases(
  changed: ReadonlyMap<string, ChangedLayer>,
  readers: readonly Reader[],
): ReadonlyMap<string, ChangedLayer> {
  const all = new Map(changed)
  for (const reader of readers) {
    if (!hasBias(reader.layer))
      all.set(reader.path, { ...reader, config: { ...reader.config, useBias: true } })
  }
  return all
}

/** Sets the biases that the unpruned layers do not have to 0. */
export function clearNewBiases(pruned: tfl.LayersModel, readers: readonly Reader[]): void {
  for (const { path, layer } of readers) {
    if (hasBias(layer)) continue
    const bias = biasOf(pruned, path)
    tf.tidy(() => bias.assign(tf.zerosLike(bias)))
  }
}

/**
 * The values that removed channels have where they are read, if their experts answer 0: constants.
 *
 * @param inputs of the model, any
 * @throws RangeError naming a layer where they are not constant
 */
export async function silentValues(
  model: tfl.LayersModel,
  cuts: readonly MixtureCut[],
  readers: readonly Reader[],
  inputs: tf.Tensor[],
  where: string,
): Promise<ChannelValues> {
  const ranges = new Map<string, tf.Tensor2D>()
  silenced(cuts, () =>
    withIntercepted(
      readers.map(({ layer }) => layer),
      (input, compute, layer) => {
        const { path, reads } = readers.find(reader => reader.layer === layer) as Reader
        const before = ranges.get(path)
        const range = tf.tidy(() => {
          const own = removedFrom(input, reads)
          return rangeOf(before ? tf.concat([flatRows(own), before], 0) : own)
        })
        before?.dispose()
        ranges.set(path, tf.keep(range))
        return compute(input)
      },
      () => tf.tidy(() => void model.predict(inputs)),
    ),
  )
  const values = new Map<string, readonly number[]>()
  for (const [path, range] of ranges) {
    const [least, largest] = (await range.array()) as [number[], number[]]
    range.dispose()
    const varying = least.findIndex((low, i) => !isConstant(low, largest[i] as number))
    if (varying >= 0) {
      throw new RangeError(
        `${where}: compensate 'zero' must find constant channels, got values from ${least[varying]} to ${largest[varying]} ` +
          `where layer ${path} reads them (padding or a 'same' convolution before it changes the border); compensate 'none' ` +
          "or 'mean' is possible",
      )
    }
    values.set(
      path,
      least.map((low, i) => (low + (largest[i] as number)) / 2),
    )
  }
  return values
}

/** The means over images that removed channels have where they are read, in the unpruned network. */
export async function meanValues(
  model: tfl.LayersModel,
  readers: readonly Reader[],
  data: ImageSet | ImageStream,
  options: ImagePassOptions,
  where: string,
): Promise<ChannelValues> {
  const means = await meansOverImages(
    model,
    readers.map(({ layer }) => layer),
    data,
    recorded =>
      tf.concat2d(
        readers.map(({ layer, reads }) => {
          const channels = removedFrom(recorded(layer).input, reads)
          const [batch] = channels.shape
          const last = channels.shape.at(-1) as number
          return tf.mean(tf.reshape(channels, [batch as number, -1, last]), 1) as tf.Tensor2D
        }),
        1,
      ),
    { ...options, withSlopes: false },
    where,
  )
  let offset = 0
  return new Map(
    readers.map(({ path, reads }) => {
      const count = reads.size - reads.kept.length
      offset += count
      return [path, means.slice(offset - count, offset)]
    }),
  )
}

/** Adds to every reader's bias what the removed channels would have given with these values. */
export function addToBiases(
  pruned: tfl.LayersModel,
  readers: readonly Reader[],
  values: ChannelValues,
): void {
  for (const { path, layer, reads } of readers) {
    const bias = biasOf(pruned, path)
    tf.tidy(() => {
      const kernel = layer.weights.find(weight => ownName(weight) === 'kernel')?.read() as tf.Tensor
      const [inputs, outputs] = kernel.shape.slice(-2) as [number, number]
      const taps = tf.sum(tf.reshape(kernel, [-1, inputs, outputs]), 0)
      const rows = tf.gather(taps, indicesOf(reads), 0)
      const constants = tf.tensor2d([...(values.get(path) ?? [])], [1, rows.shape[0] as number])
      bias.assign(tf.add(bias, tf.reshape(tf.matMul(constants, rows as tf.Tensor2D), [-1])))
    })
  }
}

function hasBias(layer: tfl.layers.Layer): boolean {
  return layer.weights.some(weight => ownName(weight) === 'bias')
}

function biasOf(model: tfl.LayersModel, path: string): tf.Variable {
  const layer = placedLayers(model).find(placed => placed.path === path)?.layer
  return layer?.weights.find(weight => ownName(weight) === 'bias')?.read() as tf.Variable
}

/** The removed channels of a reader's input, (...,removed). */
function removedFrom(input: tf.Tensor, channels: Channels): tf.Tensor {
  return tf.gather(input, indicesOf(channels), input.rank - 1)
}

function indicesOf({ kept, size }: Channels): tf.Tensor1D {
  return tf.tensor1d([...othersThan(kept, size)], 'int32')
}

/** (2,channels) the least and the largest value of each channel. */
function rangeOf(channels: tf.Tensor): tf.Tensor2D {
  const rows = flatRows(channels)
  return tf.stack([tf.min(rows, 0), tf.max(rows, 0)]) as tf.Tensor2D
}

/** (...,channels) -> (all the rest, channels). */
function flatRows(channels: tf.Tensor): tf.Tensor2D {
  return tf.reshape(channels, [-1, channels.shape.at(-1) as number])
}

function isConstant(least: number, largest: number): boolean {
  return largest - least <= 1e-5 * Math.max(1, Math.abs(least), Math.abs(largest))
}
