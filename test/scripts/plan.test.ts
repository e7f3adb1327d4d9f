import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fileSystem } from '../../src/files/model-files.js'
import { useTestBackend } from '../backend-under-test.js'
import { mobileNetLike, vggLike } from '../models/example-models.js'
import { callPmoe } from './run-pmoe.js'

let root = ''
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-plan-'))
  for (const [name, build] of Object.entries({ mobile: mobileNetLike, vgg: vggLike })) {
    const model = build()
    await model.save(fileSystem(join(root, name)))
    model.dispose()
  }
})
afterAll(() => rm(root, { recursive: true, force: true }))

const plan = (model: string, ...flags: string[]) =>
  callPmoe(['plan', join(root, model), '--backend', 'wasm', ...flags])

test('lists what a mixture can replace, why not the others, and how to go on', async () => {
  const { code, out } = await plan(
    'mobile',
    '--experts',
    '8',
    '--patch-size',
    '2',
    '--patches-per-expert',
    '4',
  )
  expect(code).toBe(0)
  // block2_pw: 1x1 from 16 to 32 channels on 8x8; experts keep 4 of 16 patches of 2x2.
  expect(out).toMatch(/block2_pw +8x8x32 +512 +1,024 +32,768 +16,384 +4 of 16\n/)
  expect(out).toContain('  block1_dw, block2_dw: its filters see one channel each\n')
  expect(out).toContain('  predictions: its map is a single pixel\n')
  expect(out).toContain(
    `pmoe train --init ${join(root, 'mobile')} --dataset NAME --experts 8 --patch-size 2 --patches-per-expert 4\n`,
  )
})

test('suggests patches and experts that fit where none do', async () => {
  const { code, out } = await plan('vgg/model.json', '--patch-size', '3')
  expect(code).toBe(0)
  expect(out).toContain('  conv1, conv2: patches of 3x3 do not divide its map 16x16 (1, 2, 4, 8 do)\n')
  expect(out).toContain('No convolution fits.')
  expect((await plan('vgg', '--experts', '5')).out).toContain(
    '5 experts do not divide its 16 filters (1, 2, 4, 8, 16 do)',
  )
})

test('writes JSON', async () => {
  const { out } = await plan('vgg', '--json')
  const { chosen, convolutions, parameters } = JSON.parse(out)
  expect(chosen).toBe('conv4')
  expect(convolutions.at(-1).mixture).toMatchObject({ patches: 64, patchesPerExpert: 16 })
  expect(parameters).toBeGreaterThan(0)
})

test('says what is no model', async () => {
  const missing = await plan('nowhere')
  expect([missing.code, missing.err]).toEqual([
    1,
    `pmoe: ${join(root, 'nowhere')}: must be the folder of a run or of a saved model, got neither config.json nor model.json\n`,
  ])
  expect((await plan('vgg', '--experts', '0')).code).toBe(2)
})

test('names a layer whose class is not registered', async () => {
  class Unheard extends tf.layers.Layer {
    static readonly className = 'UnheardOf'
    override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
      return [inputs].flat()[0] as tf.Tensor
    }
  }
  const model = tf.sequential({
    layers: [tf.layers.conv2d({ filters: 2, kernelSize: 3, inputShape: [4, 4, 1] }), new Unheard({})],
  })
  await model.save(fileSystem(join(root, 'unheard')))
  const { code, err } = await plan('unheard')
  expect(code).toBe(1)
  expect(err).toBe(
    `pmoe: fileSystem: ${join(root, 'unheard', 'model.json')}: layer "unheard_of_UnheardOf1" must be of a class that is registered, got "UnheardOf" (import the package that defines it, or call tf.serialization.registerClass)\n`,
  )
})
