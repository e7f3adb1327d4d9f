import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planText } from '../../scripts/commands/plan-action.js'
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
  expect(out).toMatch(/block2_pw +best [\d.]+% +4 of 16 +8x8x32 +32,768 +16,384 +512 +1,024 +unknown\n/)
  expect(out).toContain('  block1_dw, block2_dw: its filters see one channel each\n')
  expect(out).toContain('  predictions: its map is a single pixel\n')
  expect(out).toContain(
    `pmoe train --init ${join(root, 'mobile')} --dataset NAME --layer block2_pw --experts 8 --patch-size 2 --patches-per-expert 4\n`,
  )
})

test('recommends the place that saves the most, and says what training takes unless told', async () => {
  // By hand, of 100 multiply-adds: conv1 30 -> 10, conv2 60 -> 20, conv3 10 -> 9.
  const convolution = (path: string, before: number, after: number) => {
    const mixture = {
      ...{ numExperts: 4, patchSize: [1, 2] as const, patches: 64, patchesPerExpert: 16 },
      ...{ parameters: 6, multiplyAdds: after },
    }
    return {
      path,
      className: 'Conv2D',
      map: [8, 8, 4] as const,
      parameters: 5,
      multiplyAdds: before,
      mixture,
    }
  }
  const convolutions = [
    convolution('conv1', 30, 10),
    convolution('conv2', 60, 20),
    convolution('conv3', 10, 9),
  ]
  const plan = { convolutions, chosen: 'conv3', best: 'conv2', parameters: 15, multiplyAdds: 100 }
  const text = planText('runs/a', plan, { experts: 4, prospects: [] })
  expect(text).toMatch(/^conv1 +20\.0% +16 of 64 +8x8x4 +30 +10 +5 +6\nconv2 +best 40\.0% .*\nconv3 +1\.0% /m)
  expect(text).toContain(
    "They save the most in the place of conv2: 40.0% of the model's multiply-adds. Without --layer, train takes the " +
      'last place that fits, conv3, with 1.0%.\n\nTo train that:\n  pmoe train --init runs/a --dataset NAME ' +
      '--layer conv2 --experts 4 --patch-size 1x2 --patches-per-expert 16',
  )
  expect(planText('runs/a', { ...plan, chosen: 'conv2' }, { experts: 4, prospects: [] })).not.toContain(
    'Without --layer',
  )
  const narrow = planText('runs/a', plan, { experts: 4, prospects: [], columns: 60 })
  expect(narrow.split('\n').filter(line => line.length > 60)).toEqual([])
  expect(narrow).toMatch(/^convolution +saved +patches kept +map +multiply-adds$/m)
  const { best: _, ...none } = plan
  expect(planText('runs/a', none, { experts: 4, prospects: [] })).toMatch(
    /They save multiply-adds in none of these places\.$/,
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

test('says what to expect of the accuracy, by what is known of the images', async () => {
  // conv4: fields of 3, 5, 6 (after pooling), 10 and 14 of 16 pixels.
  const { prospects } = JSON.parse((await plan('vgg', '--json', '--object-share', '0.25')).out)
  expect(
    prospects.map(({ path, field, expect: answer }: Record<string, unknown>) => [path, field, answer]),
  ).toEqual([
    ['conv1', 3, 'nothing'],
    ['conv2', 5, 'nothing'],
    ['conv3', 10, 'unknown'],
    ['conv4', 14, 'a gain'],
  ])
  const { out } = await plan('vgg', '--object-share', '0.1', '--images', '20')
  expect(out).toContain(
    'For the accuracy, by the study transfer (docs/choosing.md):\n' +
      '  conv4: expect nothing here: with 20 training images neither layer learned to tell small objects apart.\n',
  )
  expect(out).toMatch(/^conv1 .* nothing\n/m)
  expect((await plan('vgg')).out).toMatch(/^conv4 .* objects of 10 to 45 %\n/m)
})

test('refuses what is known of the images where nothing is said of them, and what is no share', async () => {
  const refused: readonly [string[], string][] = [
    [['--measure', '--images', '5'], 'plan: --images must be left out with --measure, got 5'],
    [['--measure', '--object-share', '0.5'], 'plan: --object-share must be left out with --measure, got 0.5'],
    [['--object-share', '10'], 'It must be a number in (0, 1]'],
    [
      ['--data', root, '--images', '5'],
      "option '--data <folder>' cannot be used with option '--images <count>'",
    ],
  ]
  for (const [flags, message] of refused) {
    const { code, err } = await plan('vgg', ...flags)
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
  }
})

test('writes JSON', async () => {
  const { out } = await plan('vgg', '--json')
  const { chosen, best, convolutions, parameters } = JSON.parse(out)
  expect([chosen, best]).toEqual(['conv4', 'conv4'])
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
