import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { placeProspects, trainingImagesIn } from '../../scripts/run/planning/place-prospects.js'
import { mixtureProspect } from '../../src/models/mixture-prospects.js'
import { planPatchMoE } from '../../src/models/plan-patch-moe.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

/** Convolutions of 3x3 on 32x32 pixels: stride 1, then 2, 1, 2, 1. */
function network(): tf.LayersModel {
  const input = tf.input({ shape: [32, 32, 3] })
  const strides = [1, 2, 1, 2, 1]
  const map = strides.reduce(
    (x, step, i) =>
      tf.layers
        .conv2d({ name: `conv${i + 1}`, filters: 4, kernelSize: 3, strides: step, padding: 'same' })
        .apply(x) as tf.SymbolicTensor,
    input,
  )
  const output = tf.layers.globalAveragePooling2d({ name: 'mean' }).apply(map) as tf.SymbolicTensor
  return tf.model({ inputs: input, outputs: output })
}

describe('what to expect in the places of a network', () => {
  it('knows how much a cell of each map sees', () => {
    const model = network()
    const prospects = placeProspects(model, planPatchMoE(model), {})
    // 3; 5, then 2 x 2 more; 9 + 2 x 2, 4 x 2 more. Those of stride 2 do not fit.
    expect(prospects.map(({ path, field }) => [path, field])).toEqual([
      ['conv1', 3],
      ['conv3', 9],
      ['conv5', 21],
    ])
    for (const { field, path: _, ...prospect } of prospects) {
      expect(prospect).toEqual(mixtureProspect({ fieldShare: (field as number) / 32 }))
    }
  })

  it('does not know it within nested networks', () => {
    const inner = network()
    const input = tf.input({ shape: [32, 32, 3] })
    const model = tf.model({ inputs: input, outputs: inner.apply(input) as tf.SymbolicTensor })
    const prospects = placeProspects(model, planPatchMoE(model), { images: 100, objectShare: 0.1 })
    expect(prospects).toHaveLength(3)
    for (const { expect: expected, field } of prospects)
      expect([expected, field]).toEqual(['unknown', undefined])
  })
})

describe('the training images of a folder', () => {
  it('are those of its training half, or all', async () => {
    const root = await mkdtemp(join(tmpdir(), 'pmoe-images-'))
    const write = async (...files: string[]) => {
      for (const file of files) {
        await mkdir(join(root, file, '..'), { recursive: true })
        await writeFile(join(root, file), '')
      }
    }
    await write('whole/cat/1.jpg', 'whole/cat/2.png', 'whole/dog/1.jpg', 'whole/notes.txt')
    await write('halves/train/cat/1.jpg', 'halves/train/dog/1.jpg', 'halves/test/cat/1.jpg')
    expect(await trainingImagesIn(join(root, 'whole'))).toBe(3)
    expect(await trainingImagesIn(join(root, 'halves'))).toBe(2)
    const missing = join(root, 'nowhere')
    await expect(trainingImagesIn(missing)).rejects.toThrow(
      new Error(`${missing}: data folder must be a folder, got nothing there`),
    )
    await write('notes/notes.txt')
    await expect(trainingImagesIn(join(root, 'notes'))).rejects.toThrow(
      new Error(`${join(root, 'notes')}: data folder must hold images, got none (1 other files)`),
    )
    await rm(root, { recursive: true })
  })
})
