import * as tf from '@tensorflow/tfjs'
import type { PixelSet } from '../../src/data/image-set.js'
import { random } from '../../src/random.js'
import type { EpochMetrics, TrainEvent } from '../../src/train/loop.js'

/** Square images of noise, one channel, whose row `label` is brighter: easy, but not separable by one pixel. */
export function brightRows(count: number, classes: number, seed: number, side = 4): PixelSet {
  const source = random(seed, 'bright rows')
  const pixels = side * side
  const images = new Uint8Array(count * pixels)
  const labels = Int32Array.from({ length: count }, (_, i) => i % classes)
  for (let i = 0; i < count; i++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const bright = Math.floor(pixel / side) === labels[i] ? 90 : 0
      images[i * pixels + pixel] = source.below(166) + bright
    }
  }
  const classNames = Array.from({ length: classes }, (_, i) => `row ${i}`)
  return { images, labels, count, shape: [side, side, 1], classNames }
}

/** A hidden layer and logits; with `normalized` a batch normalization between them. */
export function denseModel({ outputs = 3, normalized = false, units = 8, seed = 1 } = {}): tf.Sequential {
  const glorot = (part: number) => tf.initializers.glorotUniform({ seed: seed * 10 + part })
  const model = tf.sequential()
  model.add(tf.layers.flatten({ inputShape: [4, 4, 1] }))
  model.add(tf.layers.dense({ units, activation: 'relu', kernelInitializer: glorot(1) }))
  if (normalized) model.add(tf.layers.batchNormalization({ momentum: 0.9 }))
  model.add(tf.layers.dense({ units: outputs, kernelInitializer: glorot(2) }))
  return model
}

/** Every event of a run. */
export async function allEvents(run: AsyncIterable<TrainEvent>): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of run) events.push(event)
  return events
}

/** Runs to the end and returns its history. */
export async function historyOf(run: AsyncIterable<TrainEvent>): Promise<readonly EpochMetrics[]> {
  let history: readonly EpochMetrics[] = []
  for await (const event of run) if (event.type === 'end') history = event.history
  return history
}

/** Everything of a history that must repeat: all but the clock. */
export function withoutClock(history: readonly EpochMetrics[]): Omit<EpochMetrics, 'seconds'>[] {
  return history.map(({ seconds: _, ...metrics }) => metrics)
}

/** All weights of a model, copied. */
export function weightsOf(model: tf.LayersModel): number[][] {
  return model.getWeights().map(weight => [...weight.dataSync()])
}
