import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-resume-'))
})

afterAll(() => rm(root, { recursive: true, force: true }))

// BatchNorm with recomputed statistics and momentum: everything that has state.
const settings = [
  ...[
    '--dataset',
    'digits-patches',
    '--model',
    'wrn-pmoe',
    '--samples',
    '24',
    '--test-samples',
    '8',
    '--epochs',
    '3',
  ],
  ...[
    '--batch-size',
    '4',
    '--optimizer',
    'momentum',
    '--lr',
    '0.02',
    '--checkpoint-steps',
    '2',
    '--backend',
    'wasm',
  ],
]

async function result(run: string) {
  const metrics = jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
  return {
    metrics: metrics.map(({ seconds: _, wallTime: __, ...rest }) => rest),
    weights: await readFile(join(run, 'model', 'weights.bin')),
    routersAtStart: await readFile(join(run, 'routers-start.safetensors')),
    events: (await readFile(join(run, 'events.out.tfevents.0000000000.patch-moe'))).length,
  }
}

/** Trains until a line of the events comes, then sends a signal. */
function trainUntil(words: readonly string[], line: string, signal: NodeJS.Signals) {
  return runPmoe([...words, '--json'], {
    watch: (text, child) => {
      if (text.startsWith(line)) child.kill(signal)
    },
  })
}

test('a run that is killed, interrupted and resumed ends in the numbers of one that never stopped', async () => {
  const whole = join(root, 'whole')
  const broken = join(root, 'broken run')
  const [uninterrupted, killed] = await Promise.all([
    callPmoe(['train', ...settings, '--out', whole]),
    trainUntil(['train', ...settings, '--out', broken], '{"type":"step","epoch":1,"step":4', 'SIGKILL'),
  ])
  expect(uninterrupted.code).toBe(0)
  expect(killed.code).toBeNull()

  const resume = ['train', '--resume', '--out', broken]
  const interrupted = await trainUntil(resume, '{"type":"step","epoch":2,"step":1', 'SIGINT')
  expect(interrupted.code).toBe(130)
  const [, start] = jsonLines(interrupted.out)
  expect(start).toMatchObject({ type: 'start', fromEpoch: 1 })
  expect([2, 4]).toContain(start?.fromStep)
  expect(interrupted.err).toMatch(
    /Stopped in epoch 2 after step \d; nothing is lost\. Continue with: pmoe train --resume --out '.*broken run'\n/,
  )
  expect(jsonLines(interrupted.out).at(-2)).toMatchObject({ type: 'stop', reason: 'aborted', epoch: 2 })

  const finished = await callPmoe(resume)
  expect({ code: finished.code, err: finished.err }).toEqual({ code: 0, err: '' })
  const [expected, found] = await Promise.all([result(whole), result(broken)])
  expect(found.metrics).toEqual(expected.metrics)
  expect(found.metrics).toHaveLength(3)
  expect(found.weights.equals(expected.weights)).toBe(true)
  expect(found.routersAtStart.equals(expected.routersAtStart)).toBe(true)
  expect(found.events).toBe(expected.events)
})

test('a checkpoint that is damaged is refused by name, and nothing is written', async () => {
  const run = join(root, 'damaged')
  expect((await callPmoe(['train', ...settings, '--epochs', '1', '--out', run])).code).toBe(0)
  const checkpoint = join(run, 'checkpoints', 'latest.safetensors')
  const before = await readFile(join(run, 'metrics.jsonl'), 'utf8')
  await writeFile(checkpoint, (await readFile(checkpoint)).subarray(0, 5000))
  const { code, out, err } = await callPmoe(['train', '--resume', '--out', run])
  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(err).toContain('checkpoints/latest.safetensors')
  expect(await readFile(join(run, 'metrics.jsonl'), 'utf8')).toBe(before)
})

test('a finished run goes on for more epochs, as if it had been asked for them at once', async () => {
  const [whole, longer] = [join(root, 'asked-for-2'), join(root, 'extended-to-2')]
  expect((await callPmoe(['train', ...settings, '--epochs', '2', '--out', whole])).code).toBe(0)
  expect((await callPmoe(['train', ...settings, '--epochs', '1', '--out', longer])).code).toBe(0)
  const more = ['train', '--resume', '--out', longer, '--epochs']
  expect((await callPmoe([...more, '2'])).code).toBe(0)
  const [expected, found] = await Promise.all([result(whole), result(longer)])
  expect(found.metrics).toEqual(expected.metrics)
  expect(found.weights.equals(expected.weights)).toBe(true)
  expect(JSON.parse(await readFile(join(longer, 'config.json'), 'utf8')).training.epochs).toBe(2)

  const fewer = await callPmoe([...more, '1'])
  expect(fewer.code).toBe(2)
  expect(fewer.err).toContain('got changed ones: training.epochs is 2, asked for 1')
})

test('a run goes on when its files have moved', async () => {
  const [run, before, after] = [join(root, 'moved'), join(root, 'digits'), join(root, 'digits-moved')]
  await cp(new URL('../../samples/digits8', import.meta.url), before, { recursive: true })
  const train = ['train', ...settings, '--epochs', '1', '--data', before, '--out', run]
  expect((await callPmoe(train)).code).toBe(0)
  await rename(before, after)
  const resume = ['train', '--resume', '--out', run, '--epochs', '2']
  expect(await callPmoe([...resume, '--data', after])).toMatchObject({ code: 0, err: '' })
  expect((await result(run)).metrics).toHaveLength(2)
})

test('a run is not made longer where its learning rates follow from its length, and keeps its configuration', async () => {
  const run = join(root, 'cosine')
  const train = ['train', ...settings, '--epochs', '2', '--schedule', 'cosine', '--out', run]
  const refused = await callPmoe([...train, '--warmup-epochs', '2'])
  expect([refused.code, refused.err]).toEqual([
    2,
    expect.stringContaining('train: --warmup-epochs must be less than epochs, got 2 (epochs 2)'),
  ])
  expect((await callPmoe([...train, '--warmup-epochs', '0.5'])).code).toBe(0)
  const before = await readFile(join(run, 'config.json'), 'utf8')
  expect(JSON.parse(before).training).toMatchObject({ schedule: 'cosine', warmupEpochs: 0.5 })
  const longer = await callPmoe(['train', '--resume', '--out', run, '--epochs', '4'])
  expect([longer.code, longer.err]).toEqual([
    2,
    expect.stringContaining(`train: --epochs must stay 2 for ${run}, whose learning rate`),
  ])
  expect(await readFile(join(run, 'config.json'), 'utf8')).toBe(before)
})
