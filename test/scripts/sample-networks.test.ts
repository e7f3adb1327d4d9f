import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string
const at = (name: string) => join(root, name)
const wasm = ['--backend', 'wasm']
const small = ['--dataset', 'fashion-rotated', '--samples', '40', '--test-samples', '20']
const sizes = ['--model', 'sample-networks', '--experts', '3', '--expert-filters', '2']

async function pmoe(...words: string[]): Promise<string> {
  const { code, out, err } = await callPmoe(words)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-'))
  await pmoe(
    ...['train', ...small, ...sizes, '--epochs', '1', '--routing-metrics', ...wasm, '--out', at('run')],
  )
})

afterAll(() => rm(root, { recursive: true, force: true }))

test('networks that samples choose are trained by their recipe', async () => {
  const config = JSON.parse(await readFile(join(at('run'), 'config.json'), 'utf8'))
  expect(config.model).toEqual({
    name: 'sample-networks',
    options: { kind: 'sample-networks', patchSize: 4, numExperts: 3, filters: 2, gate: 'softmax' },
  })
  expect(config.training).toMatchObject({
    optimizer: 'normalized-gd',
    learningRate: 0.01,
    momentum: 0.9,
    layerRates: [{ pattern: 'experts/router*', learningRate: 1e-4 }],
    loadBalance: 0.01,
    l2: 5e-4,
  })
  const [epoch] = jsonLines(await readFile(join(at('run'), 'metrics.jsonl'), 'utf8'))
  expect(epoch).toHaveProperty('sampleRouting')
})

test('a resumed run computes what an uninterrupted one does, routing noise included', async () => {
  await pmoe(
    ...['train', ...small, ...sizes, '--epochs', '2', '--routing-metrics', ...wasm, '--out', at('whole')],
  )
  await pmoe('train', '--resume', '--epochs', '2', '--out', at('run'))
  const [resumed, whole] = await Promise.all(
    ['run', 'whole'].map(async name => jsonLines(await readFile(join(at(name), 'metrics.jsonl'), 'utf8'))),
  )
  const numbers = (epochs: typeof resumed) =>
    epochs?.map(({ loss, testLoss, testAccuracy }) => ({ loss, testLoss, testAccuracy }))
  expect(resumed).toHaveLength(2)
  expect(numbers(resumed)).toEqual(numbers(whole))
})

describe('a trained run', () => {
  test('is evaluated with the experts of each angle', async () => {
    const { routing } = JSON.parse(await pmoe('evaluate', at('run'), ...wasm, '--json'))
    expect(Object.keys(routing[0].counts)).toEqual(['0 degrees', '90 degrees', '180 degrees', '270 degrees'])
    expect(Object.values<number[]>(routing[0].counts).flat()).toHaveLength(12)
  })

  test('predicts and explains which network answered, and with which scores', async () => {
    const pixels = { create: { width: 32, height: 32, channels: 3, background: '#555' } } as const
    await sharp(pixels).png().toFile(at('grey.png'))
    const predicted = JSON.parse(await pmoe('predict', at('run'), at('grey.png'), ...wasm, '--json'))
    const [choice] = predicted.choices
    expect(choice).toMatchObject({ layer: 'experts', names: ['0', '1', '2'] })
    const { experts, scores } = choice as { experts: [number]; scores: number[] }
    expect(scores).toHaveLength(3)
    expect(scores[experts[0]]).toBe(Math.max(...scores))
    const explained = await pmoe('explain', at('run'), at('grey.png'), ...wasm, '--out', at('explained'))
    expect(explained).toContain(`by expert ${experts[0] + 1} (gate`)
  })

  test('is exported with each network applied to the images that chose it', async () => {
    const onnx = await pmoe('export', at('run'), '--format', 'onnx', ...wasm, '--out', at('model.onnx'))
    expect(onnx).toContain('ScatterND')
  })
})

describe('what cannot be done', () => {
  test.each([
    [
      ['--filters', '8'],
      'train: --filters must be used with sample-moe, sample-single, got model sample-networks',
    ],
    [
      ['--activation', 'cubic'],
      '--activation must be used with sample-moe, sample-single, got model sample-networks',
    ],
    [['--depth', '10'], '--depth must be used with wrn, wrn-pmoe, got model sample-networks'],
    [
      ['--gate', 'softmax-all'],
      '--gate must be one of softmax, raw, uniform with model sample-networks, got softmax-all',
    ],
    [['--patch-size', '5'], 'SampleExperts: --patch-size must divide the map, got 5x5 (map 32x32)'],
    [
      ['--experts-per-sample', '5'],
      'SampleExperts: --experts-per-sample must be an integer in [1, 4], got 5 (4 experts)',
    ],
    [
      ['--gate', 'raw', '--gate-noise', 'selection-only'],
      "--gate-noise with gate 'raw' must be one of 'included', got \"selection-only\"",
    ],
  ])('exit 2: %j', async (words, message) => {
    const flags = [...small, '--model', 'sample-networks', ...words, ...wasm, '--out', at('never')]
    const { code, err } = await callPmoe(['train', ...flags])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
  })

  test('other networks have no such filters', async () => {
    const flags = [...small, '--model', 'wrn-pmoe', '--expert-filters', '8', ...wasm, '--out', at('never')]
    const { code, err } = await callPmoe(['train', ...flags])
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining(
        'train: --expert-filters must be used with sample-networks, got model wrn-pmoe',
      ),
    })
  })
})
