import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root: string
let trained: string

const small = [
  '--dataset',
  'digits-patches',
  '--model',
  'two-layer-pmoe',
  '--samples',
  '40',
  '--test-samples',
  '20',
]
const tiny = [...small, '--epochs', '2', '--backend', 'wasm', '--seed', '3']

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-'))
  trained = join(root, 'trained')
  const { code, out, err } = await runPmoe(['train', ...tiny, '--out', trained])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(
    /^Training two-layer-pmoe on 40 images of digits-patches, testing on 20; backend wasm, seed 3/,
  )
  expect(out).toMatch(/epoch 2\/2 {2}loss \d\.\d{4} .* images\/s/)
  expect(out.trimEnd()).toMatch(/Done: test accuracy \d+\.\d%, trained in \d+ s\. Saved in .*trained$/)
})

afterAll(() => rm(root, { recursive: true, force: true }))

async function metricsOf(run: string): Promise<Record<string, unknown>[]> {
  return jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
}

test('evaluate measures again what the last epoch measured', async () => {
  const json = await runPmoe(['evaluate', trained, '--backend', 'wasm', '--json'])
  const text = await callPmoe(['evaluate', trained, '--backend', 'wasm'])
  const last = (await metricsOf(trained)).at(-1)!
  expect(json.code).toBe(0)
  const [measured] = jsonLines(json.out)
  expect(measured).toMatchObject({
    backend: 'wasm',
    accuracy: last.testAccuracy,
    loss: last.testLoss,
    count: 20,
  })
  // Router 8*8*8 and hidden kernel 64*40, the frozen head of 40.
  expect(measured?.parameters).toBe(512 + 2560 + 40)
  expect(Object.keys(measured?.perClass as object)).toEqual(['0', '1'])
  expect(text.code).toBe(0)
  expect(text.out).toContain('3,112 parameters')
  expect(text.out).toMatch(/class +images +precision +recall +F1 +ROC area +AP\n/)
})

test('predict gives class, probabilities and what each expert kept', async () => {
  const image = join(root, 'image.png')
  const pixels = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 37) % 256)
  await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } })
    .png()
    .toFile(image)
  const json = await runPmoe(['predict', trained, image, image, '--backend', 'wasm', '--json'])
  const text = await callPmoe(['predict', trained, image, '--backend', 'wasm'])
  expect(json.code).toBe(0)
  const [first, second, ...more] = jsonLines(json.out)
  expect(more).toEqual([])
  expect(second).toEqual(first)
  const {
    class: name,
    probability,
    probabilities,
    grid,
    experts,
  } = first as {
    class: string
    probability: number
    probabilities: Record<string, number>
    grid: number[]
    experts: { patches: number[]; gates: number[] }[]
  }
  expect(probabilities[name]).toBe(probability)
  expect(probabilities['0']! + probabilities['1']!).toBeCloseTo(1, 6)
  expect(probability).toBeGreaterThanOrEqual(0.5)
  expect(grid).toEqual([4, 4])
  expect(experts).toHaveLength(8)
  for (const { patches, gates } of experts) {
    expect(new Set(patches).size).toBe(6)
    // The gates of 'softmax-selected' add up to 1.
    expect(gates.reduce((sum, gate) => sum + gate, 0)).toBeCloseTo(1, 5)
  }
  expect(text.code).toBe(0)
  expect(text.out).toContain(`${image}: ${name} ${(probability * 100).toFixed(1)}%`)
  expect(text.out).toMatch(/ {2}expert 8 kept \d+ \(0\.\d+\), /)
})

test('predict takes folders, as a table too, and answers for all images that can be read', async () => {
  const folder = join(root, 'some, images')
  await mkdir(join(folder, 'cat'), { recursive: true })
  const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 37) % 256)
  for (const name of ['cat/1.png', '2.png']) {
    await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } }).toFile(join(folder, name))
  }
  await writeFile(join(folder, 'cat', 'empty.jpg'), '')
  const { code, out, err } = await callPmoe(['predict', trained, folder, '--csv', '--backend', 'wasm'])
  expect(code).toBe(1)
  expect(err).toBe(
    `pmoe: 1 of 3 images could not be read:\n  ${join(folder, 'cat', 'empty.jpg')}: file must hold an image, got 0 bytes\n`,
  )
  const [header, first, second, ...rest] = out.split('\n')
  expect(header).toBe('image,class,probability,probability of 0,probability of 1')
  expect(first?.replaceAll(/0\.\d+/g, 'p')).toMatch(new RegExp(`^"${join(folder, '2.png')}",[01],p,p,p$`))
  expect(second).toContain(`"${join(folder, 'cat', '1.png')}",`)
  expect(rest).toEqual([''])
})

test('train --json writes nothing but the events; the same seed gives the same numbers', async () => {
  const again = join(root, 'again')
  const { code, out, err } = await callPmoe(['train', ...tiny, '--out', again, '--json'])
  expect(code).toBe(0)
  const events = jsonLines(out)
  expect(events.map(({ type }) => type)).toEqual([
    ...['run', 'start'],
    ...['step', 'step', 'evaluate', 'epoch', 'checkpoint'],
    ...['step', 'step', 'evaluate', 'epoch', 'checkpoint'],
    'end',
  ])
  expect(err).toContain('Training two-layer-pmoe')
  const untimed = (lines: Record<string, unknown>[]) =>
    lines.map(({ seconds: _, wallTime: __, ...rest }) => rest)
  expect(untimed(await metricsOf(again))).toEqual(untimed(await metricsOf(trained)))
})

test('demo --quick trains its four networks, prints the table and writes the report', async () => {
  const out = join(root, 'demo')
  const finished = await runPmoe(['demo', '--quick', '--backend', 'wasm', '--out', out])
  expect({ code: finished.code, err: finished.err }).toEqual({ code: 0, err: '' })
  expect(finished.out).toMatch(
    /model +test accuracy +parameters +multiply-adds a sample +seconds +images +epochs +seed/,
  )
  expect(finished.out).toMatch(/two-layer joint pMoE +\d+\.\d% +3,112 /)
  expect(finished.out).toMatch(/WRN-10-2 +\d+\.\d% +304,548 /)
  expect(finished.out).toMatch(/WRN-10-2 pMoE +\d+\.\d% +167,076 /)
  expect(finished.out).toContain(`Report: file://${out}/report.html`)
  const html = await readFile(join(out, 'report.html'), 'utf8')
  // Twelve images with eight experts each, twelve with four.
  expect(html.split('<use href="#image-0-')).toHaveLength(1 + 12 * 8)
  expect(html.split('<use href="#image-1-')).toHaveLength(1 + 12 * 4)
  expect(html).toContain(`pmoe demo --backend wasm --seed 1 --quick --out ${out} --force`)
  const last = (await metricsOf(join(out, 'fashion-quadrants-wrn-pmoe'))).at(-1)!
  expect(html).toContain(`${((last.testAccuracy as number) * 100).toFixed(1)}%`)
  const refused = await callPmoe(['demo', '--out', out])
  expect(refused).toEqual({
    code: 1,
    out: '',
    err: `pmoe: demo: --out must be new or empty, got ${out} with 5 entries (--force replaces its demo)\n`,
  })
})

describe('what cannot work ends with a message, without a stack', () => {
  test.each([
    [['train', '--wat'], "error: unknown option '--wat'"],
    [['fly'], "error: unknown command 'fly'"],
    [
      ['train', '--dataset', 'cats', '--model', 'wrn'],
      "option '--dataset <name>' argument 'cats' is invalid. Allowed choices are digits-patches, fashion-mnist, fashion-quadrants",
    ],
    [
      ['train', '--model', 'vit'],
      "argument 'vit' is invalid. Allowed choices are wrn, wrn-pmoe, two-layer, two-layer-pmoe, sample-moe, sample-single, sample-networks, routed, init.",
    ],
    [
      ['train', '--epochs', '0'],
      "option '--epochs <count>' argument '0' is invalid. It must be a positive integer.",
    ],
    [['train', '--model', 'wrn'], 'pmoe: train: --dataset must be given (see pmoe train --help)\n'],
    [
      ['train', '--dataset', 'cifar10', '--model', 'wrn', '--backend', 'cpu'],
      'pmoe: train: --data must name the folder of cifar10, got none (see ',
    ],
    [['train', '--resume'], 'pmoe: train: --resume must come with --out, the folder of the run\n'],
    [
      ['train', '--resume', '--force', '--out', 'x'],
      'pmoe: train: --resume and --force must not be given together\n',
    ],
    [
      ['train', ...small, '--experts', '8', '--patches-per-expert', '17', '--backend', 'cpu'],
      'TwoLayerExperts: --patches-per-expert must be an integer in [1, 16], got 17',
    ],
    [
      ['train', ...small, '--momentum', '0.9', '--backend', 'cpu'],
      'pmoe: optimizer: --momentum must be left out for sgd, got 0.9\n',
    ],
    [['evaluate'], "error: missing required argument 'model'"],
  ])('%j is a mistake in the call: exit code 2', async (words, message) => {
    const { code, out, err } = await callPmoe(words)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
    expect(err).not.toMatch(/\n\s+at /)
  })

  test('and the program itself exits with these codes', async () => {
    const [flag, dataset, failure] = await Promise.all([
      runPmoe(['train', '--wat']),
      runPmoe(['train', '--dataset', 'cats', '--model', 'wrn']),
      runPmoe(['evaluate', join(root, 'nowhere')]),
    ])
    expect([flag.code, dataset.code, failure.code]).toEqual([2, 2, 1])
    expect([flag.out, dataset.out, failure.out]).toEqual(['', '', ''])
    expect(failure.err).toMatch(/^pmoe: openRun: .*\n$/)
  })

  test('settings of a run that is resumed cannot change', async () => {
    const { code, err } = await callPmoe([
      'train',
      '--resume',
      '--out',
      trained,
      '--lr',
      '0.5',
      '--seed',
      '3',
      '--early-stop',
      '4',
      '--model',
      'wrn',
    ])
    expect(code).toBe(2)
    expect(err).toBe(
      `pmoe: train: --resume must keep the settings of ${trained}, got changed ones: model.name is "two-layer-pmoe", asked for "wrn"; ` +
        'training.learningRate is 0.2, asked for 0.5; training.earlyStop is not set, asked for 4\n',
    )
  })

  test('a run that is there is not replaced: exit code 1', async () => {
    const before = await readFile(join(trained, 'metrics.jsonl'), 'utf8')
    const { code, out, err } = await callPmoe(['train', ...tiny, '--out', trained])
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toBe(
      `pmoe: createRun: ${trained} must be new or empty, got a run (continue it with --resume, replace it with --force)\n`,
    )
    expect(await readFile(join(trained, 'metrics.jsonl'), 'utf8')).toBe(before)
  })

  test('files that are missing or damaged are named: exit code 1, the stack only when asked for', async () => {
    const nowhere = join(root, 'nowhere')
    const missing = await callPmoe(['evaluate', nowhere])
    const image = await callPmoe(['predict', trained, join(root, 'no.png'), '--backend', 'wasm'])
    const stack = await runPmoe(['evaluate', nowhere], { env: { PMOE_DEBUG: '1' } })
    expect(missing.code).toBe(1)
    expect(missing.err).toContain(`pmoe: openRun: ${nowhere} must be the folder of a run, got nothing there`)
    expect(missing.err).not.toMatch(/\n\s+at /)
    expect(image.code).toBe(1)
    expect(image.err).toContain(join(root, 'no.png'))
    expect(stack.code).toBe(1)
    expect(stack.err).toMatch(/\n\s+at (async )?openRun /)
  })

  test.each([
    { name: 'damaged images are a failure: exit code 1', length: 3073 * 2 - 1, code: 1 },
    {
      name: 'too few images for --samples are a mistake in the call: exit code 2',
      length: 3073 * 2,
      code: 2,
    },
  ])('$name', async ({ length, code }) => {
    const data = join(root, `cifar-${length}`)
    await mkdir(data)
    const names = [1, 2, 3, 4, 5].map(number => `data_batch_${number}.bin`)
    for (const file of [...names, 'test_batch.bin']) {
      await writeFile(join(data, file), new Uint8Array(length))
    }
    const words = ['train', '--dataset', 'cifar10', '--data', data, '--model', 'wrn', '--backend', 'wasm']
    const { err, code: found } = await callPmoe([
      ...words,
      '--samples',
      '1000',
      '--out',
      join(root, 'no-run'),
    ])
    expect(err).toMatch(code === 1 ? /whole records of 3073 bytes, got 6145/ : /class 0 "airplane" must have/)
    expect(found).toBe(code)
  })

  test('a model file that is cut off is refused with both lengths', async () => {
    const run = join(root, 'damaged')
    expect((await callPmoe(['train', ...tiny, '--epochs', '1', '--out', run])).code).toBe(0)
    const path = join(run, 'model', 'weights.bin')
    const bytes = await readFile(path)
    await writeFile(path, bytes.subarray(0, 1000))
    const damaged = await callPmoe(['evaluate', run, '--backend', 'wasm'])
    expect(damaged.code).toBe(1)
    expect(damaged.err).toContain(path)
    expect(damaged.err).toContain('1000')
    expect(damaged.err).toContain(String(bytes.length))
    await rm(join(run, 'model'), { recursive: true })
    const unfinished = await callPmoe(['evaluate', run, '--backend', 'wasm'])
    expect(unfinished.err).toBe(
      `pmoe: ${run}: the run must have ended, got no model yet (continue it with: pmoe train --resume --out ${run})\n`,
    )
  })
})

test('every command has help with an example', async () => {
  const names = ['demo', 'train', 'evaluate', 'predict']
  for (const name of names) {
    const { code, out } = await callPmoe([name, '--help'])
    expect(code).toBe(0)
    expect(out).toContain(`Usage: pmoe ${name}`)
    expect(out).toContain(`$ pmoe ${name}`)
  }
})
