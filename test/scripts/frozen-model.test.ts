import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test, vi } from 'vitest'
import { frozenWhereFaster } from '../../scripts/run/frozen-model.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

const many = 10_000

function classifier(layer: tf.layers.Layer): tf.LayersModel {
  const layers = [layer, tf.layers.flatten(), tf.layers.dense({ units: 2 })]
  return tf.sequential({ layers, name: 'small' })
}

test('a model is frozen for many images, and asked itself about one', async () => {
  const model = classifier(tf.layers.conv2d({ filters: 1, kernelSize: 1, inputShape: [2, 2, 1] }))
  expect(await frozenWhereFaster(model, { images: 1 })).toBeUndefined()
  const frozen = await frozenWhereFaster(model, { images: many })
  expect(frozen?.logits(tf.ones([3, 2, 2, 1])).shape).toEqual([3, 2])
  frozen?.dispose()
})

test('a layer that cannot be frozen is named in a note, and the model answers', async () => {
  const model = classifier(
    tf.layers.lstm({ units: 2, returnSequences: true, inputShape: [4, 4], name: 'memory' }),
  )
  const notes = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const frozen = await frozenWhereFaster(model, { images: many })
  const written = notes.mock.calls.map(([text]) => text)
  notes.mockRestore()
  expect(frozen).toBeUndefined()
  expect(written).toHaveLength(1)
  expect(written[0]).toMatch(
    /^small is computed layer by layer, not frozen: exportGraph: layer "memory" \(1 of 3 layers\) must be of a kind .*got LSTM/,
  )
})

test('an error that is not about what can be frozen is not hidden', async () => {
  const model = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2, 1] })] })
  model.add(tf.layers.dense({ units: 2, activation: 'sigmoid' }))
  await expect(frozenWhereFaster(model, { images: many })).rejects.toThrow(
    'lossOf: the last activation must be linear or softmax for 2 outputs, got sigmoid',
  )
})
