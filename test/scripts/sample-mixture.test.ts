import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root: string
let run: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-'))
  run = join(root, 'clusters')
})

afterAll(() => rm(root, { recursive: true, force: true }))

test('a mixture of clusters is trained by its recipe, and evaluated with noise', async () => {
  const set = ['--dataset', 'theory-clusters', '--samples', '200', '--test-samples', '100']
  const loss = [
    '--loss-form',
    'cross-entropy-of-probabilities',
    '--stop-when',
    'lossAtMost=0.314,lossAboveBest=0.02',
  ]
  const how = [
    '--norm',
    'sum',
    '--load-balance',
    '0.0001',
    '--routing-metrics',
    '--epochs',
    '3',
    '--backend',
    'wasm',
  ]
  const training = await runPmoe(['train', ...set, '--model', 'sample-moe', ...loss, ...how, '--out', run])
  expect({ code: training.code, err: training.err }).toEqual({ code: 0, err: '' })
  expect(training.out).toMatch(
    /loss \d\.\d{4} \(at least 0\.3133\) {2}balance \d\.\d{4} .* entropy \d\.\d{3}/,
  )

  const config = JSON.parse(await readFile(join(run, 'config.json'), 'utf8'))
  expect(config.training).toMatchObject({
    optimizer: 'normalized-gd',
    norm: 'sum',
    loadBalance: 0.0001,
    lossForm: 'cross-entropy-of-probabilities',
    stopWhen: { lossAtMost: 0.314, lossAboveBest: 0.02 },
  })
  const last = jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8')).at(-1)

  const json = await callPmoe(['evaluate', run, '--backend', 'wasm', '--routing-noise', '--json'])
  const [measured] = jsonLines(json.out)
  expect(measured).toMatchObject({ loss: last?.testLoss, accuracy: last?.testAccuracy })
  const [routing] = measured!.routing as {
    counts: Record<string, number[]>
    entropy: number
    withNoise: object
  }[]
  expect(routing?.entropy).toBe((last!.sampleRouting as { testEntropy: number }).testEntropy)
  expect(Object.keys(routing?.counts ?? {})).toEqual(['cluster 1', 'cluster 2', 'cluster 3', 'cluster 4'])
  expect(routing?.withNoise).toHaveProperty('entropy')
  expect(measured?.withNoise).toHaveProperty('accuracy')
})
