import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-separate-'))
})

afterAll(() => rm(root, { recursive: true, force: true }))

const data = ['--dataset', 'theory-patches', '--theory', 'lStar=3,patchSide=4', '--samples', '40']
const sizes = ['--test-samples', '20', '--epochs', '2', '--batch-size', '8', '--backend', 'wasm']
const base = ['train', ...data, ...sizes, '--model', 'two-layer-pmoe']
const separate = [...base, '--router-training', 'separate', '--router-epochs', '30', '--routing-metrics']

async function result(run: string) {
  const metrics = jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
  return {
    metrics: metrics.map(({ seconds: _, wallTime: __, ...rest }) => rest),
    weights: await readFile(join(run, 'model', 'weights.bin')),
  }
}

/** Trains until a line of the events comes, then presses Ctrl-C as far as the command can see. */
async function interrupt(words: readonly string[], line: string) {
  const watch = (text: string) => {
    if (text.startsWith(line)) process.listeners('SIGINT').at(-1)?.('SIGINT')
  }
  const finished = await callPmoe([...words, '--json'], { watch })
  const { exitCode } = process
  process.exitCode = undefined
  return { ...finished, exitCode }
}

test('a run with separate routers goes on after Ctrl-C, among the routers or the experts, to the same numbers', async () => {
  const [whole, broken] = [join(root, 'whole'), join(root, 'broken')]
  const finished = await callPmoe([...separate, '--out', whole])
  expect(finished).toMatchObject({ code: 0, err: '' })
  expect(finished.out).toContain('routers 30/30')
  const early = await interrupt([...separate, '--out', broken], '{"type":"routers","epoch":3,')
  expect(early.exitCode).toBe(130)
  expect(early.err).toContain('Stopped in epoch 1 after step 0')
  expect(jsonLines(early.out).at(-1)).toMatchObject({ type: 'end', history: [] })
  const resume = ['train', '--resume', '--out', broken]
  const late = await interrupt(resume, '{"type":"step","epoch":1,"step":2')
  expect(late.exitCode).toBe(130)
  expect(late.err).toContain('Stopped in epoch 1 after step 3')
  expect(jsonLines(late.out).filter(({ type }) => type === 'routers')).toHaveLength(30)
  expect((await callPmoe(resume)).code).toBe(0)
  const [expected, found] = await Promise.all([result(whole), result(broken)])
  expect(found.metrics).toEqual(expected.metrics)
  expect(found.weights.equals(expected.weights)).toBe(true)

  const config = JSON.parse(await readFile(join(whole, 'config.json'), 'utf8'))
  expect(config.model.options).toMatchObject({ numExperts: 2, gate: 'uniform', routerTrainable: false })
  expect(config.training).toMatchObject({
    routerTraining: 'separate',
    routerEpochs: 30,
    routerBatchSize: 8,
    routerLearningRate: 0.2,
    routingMetrics: true,
  })
  expect(config.dataset.theory).toEqual({ lStar: 3, patchSide: 4 })
  expect(found.metrics[1]?.routing).toMatchObject({
    ownRecall: expect.any(Number),
    largestGateExpert: [0, 1],
  })
})

test('four classes have four experts, their routers trained pair by pair', async () => {
  const run = join(root, 'four')
  const words = base.map(word => (word.startsWith('lStar') ? 'numClasses=4,patchSide=4' : word))
  const options = ['--router-training', 'separate', '--router-epochs', '5', '--gate', 'softmax-selected']
  expect(await callPmoe([...words, ...options, '--out', run])).toMatchObject({ code: 0, err: '' })
  const config = JSON.parse(await readFile(join(run, 'config.json'), 'utf8'))
  expect(config.model.options).toMatchObject({ numExperts: 4, gate: 'softmax-selected' })
  expect(config.model.options).not.toHaveProperty('oneLogit')
})

test('a configuration that does not say how routers are trained is refused, and nothing is written', async () => {
  const run = join(root, 'tampered')
  const options = ['--router-training', 'separate', '--router-epochs', '2', '--out', run]
  expect((await callPmoe([...base, ...options])).code).toBe(0)
  const path = join(run, 'config.json')
  const config = JSON.parse(await readFile(path, 'utf8'))
  delete config.training.routerEpochs
  await writeFile(path, JSON.stringify(config))
  const metrics = await readFile(join(run, 'metrics.jsonl'), 'utf8')
  const { code, err } = await callPmoe(['train', '--resume', '--out', run])
  expect(code).toBe(1)
  expect(err).toContain(
    'train: routerTraining separate must come with routerEpochs, routerBatchSize and routerLearningRate, got undefined, 8 and 0.2',
  )
  expect(await readFile(join(run, 'metrics.jsonl'), 'utf8')).toBe(metrics)
})

describe('a call that cannot work says why', () => {
  const separately = [...base, '--router-training', 'separate']
  test.each([
    [
      [...separately, '--experts', '8'],
      'train: --experts must be the number of classes, 2, with --router-training separate, got 8',
    ],
    [
      [...base, '--router-epochs', '5'],
      'train: --router-epochs must come with --router-training separate, got joint training of the routers',
    ],
    [
      [...separately, '--diversity', '0.1'],
      'train: --diversity must be 0 where nothing that is trained changes it, got 0.1 (logits)',
    ],
    [
      separately.map(word => (word.startsWith('lStar') ? 'numClasses=3' : word)),
      'with an even number of classes, as they are paired, got 3',
    ],
    [
      separately.map(word => (word === 'two-layer-pmoe' ? 'wrn-pmoe' : word)),
      'train: --router-training must be used with two-layer-pmoe, got model wrn-pmoe',
    ],
    [
      base.map(word => (word === 'theory-patches' ? 'digits-patches' : word)),
      '--theory must be used with theory-patches, got dataset digits-patches',
    ],
    [
      base.map(word => (word.startsWith('lStar') ? 'deltaR=0.3' : word)),
      'theory-patches: deltaR must make patterns closer to one class by more than 0.400, got 0.2',
    ],
    [[...base, '--data', 'here'], 'train: --data must be left out for theory-patches, got here (its images'],
  ])('%#', async (words, message) => {
    const { code, err } = await callPmoe([...words, '--out', join(root, 'refused')])
    expect(err).toContain(message)
    expect(code).toBe(2)
  })
})
