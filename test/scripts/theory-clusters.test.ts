import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callPmoe, jsonLines } from './run-pmoe.js'

const set = ['--dataset', 'theory-clusters', '--setting', 'S3', '--samples', '60', '--test-samples', '40']
const trained = ['--backend', 'wasm', '--epochs', '3', '--seed', '4', '--json']

let dir: string
let run: string
let picture: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pmoe-clusters-'))
  run = join(dir, 'run')
  picture = join(dir, 'grey.png')
  await sharp({ create: { width: 8, height: 8, channels: 3, background: '#808080' } })
    .png()
    .toFile(picture)
  const { code } = await callPmoe(['train', ...set, '--model', 'sample-moe', ...trained, '--out', run])
  expect(code).toBe(0)
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const configOf = async (folder: string) =>
  JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as {
    dataset: object
    model: { options: object }
    training: object
  }

describe('a run on theory-clusters', () => {
  test('takes all samples in each step, and keeps what it was asked for', async () => {
    const { dataset, model, training } = await configOf(run)
    expect(dataset).toMatchObject({
      setting: 'S3',
      samples: 60,
      classNames: ['-1', '+1'],
      groupNames: ['cluster 1', 'cluster 2', 'cluster 3', 'cluster 4'],
    })
    expect(model.options).toMatchObject({
      kind: 'sample-moe',
      numExperts: 8,
      filtersPerOutput: 8,
      patchSize: 1,
    })
    expect(training).toMatchObject({ epochs: 3, batchSize: 60, optimizer: 'normalized-gd' })
    expect(training).not.toHaveProperty('fullBatch')
  })

  test('is evaluated on samples of its own basis, by cluster', async () => {
    const { code, out } = await callPmoe(['evaluate', run, '--backend', 'wasm', '--json'])
    const metrics = jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
    expect(code).toBe(0)
    const [evaluation] = jsonLines(out)
    expect(evaluation?.count).toBe(40)
    expect(evaluation?.accuracy).toBe(metrics.at(-1)?.testAccuracy)
    expect(Object.keys(evaluation?.perGroup as object)).toEqual([
      'cluster 1',
      'cluster 2',
      'cluster 3',
      'cluster 4',
    ])
  })

  test('goes on where it stopped', async () => {
    const [whole, parts] = [join(dir, 'whole'), join(dir, 'parts')]
    const words = ['train', ...set, '--model', 'sample-moe', '--backend', 'wasm', '--seed', '4', '--json']
    await callPmoe([...words, '--epochs', '4', '--out', whole])
    await callPmoe([...words, '--epochs', '2', '--out', parts])
    const { code } = await callPmoe(['train', '--resume', '--out', parts, '--epochs', '4', '--json'])
    expect(code).toBe(0)
    const metricsOf = async (folder: string) =>
      jsonLines(await readFile(join(folder, 'metrics.jsonl'), 'utf8')).map(
        ({ seconds: _, wallTime: __, ...rest }) => rest,
      )
    expect(await metricsOf(parts)).toEqual(await metricsOf(whole))
  })

  test('can be a single network, with flags of its filters', async () => {
    const out = join(dir, 'single')
    const flags = ['--activation', 'linear', '--filters', '3', '--initial-scale', '0.5', '--batch-size', '25']
    const words = ['train', ...set, '--model', 'sample-single', ...trained, ...flags, '--out', out]
    expect((await callPmoe(words)).code).toBe(0)
    const { model, training } = await configOf(out)
    expect(model.options).toMatchObject({
      numExperts: 1,
      gate: 'uniform',
      activation: 'linear',
      filtersPerOutput: 3,
      initialScale: 0.5,
    })
    expect(training).toMatchObject({ optimizer: 'adam', batchSize: 25 })
  })

  test('has no image files to predict or explain, and says so before it writes anything', async () => {
    const message =
      `${run}: the model must take images of [height, width, 1 or 3], got [4, 1, 50], of numbers as ` +
      'theory-clusters draws them (pmoe evaluate measures it on those)'
    const out = join(dir, 'explained')
    for (const words of [
      ['predict', run, picture, '--csv', '--backend', 'wasm'],
      ['explain', run, picture, '--out', out, '--backend', 'wasm'],
    ]) {
      const result = await callPmoe(words)
      expect(result).toEqual({ code: 2, out: '', err: expect.stringContaining(message) })
    }
    expect(existsSync(out)).toBe(false)
  })

  test('is exported as a network of numbers that are not pixels', async () => {
    const onnx = join(dir, 'clusters.onnx')
    const words = ['export', run, '--format', 'onnx', '--out', onnx, '--backend', 'wasm']
    expect(await callPmoe([...words, '--pixels', 'uint8'])).toMatchObject({
      code: 2,
      err: expect.stringContaining(
        'export: --pixels must be float32 for sample_moe, which was trained on the floats of theory-clusters, got uint8',
      ),
    })
    expect(existsSync(onnx)).toBe(false)
    const { code, err } = await callPmoe([...words, '--no-verify'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect((await readFile(onnx)).toString('latin1')).toContain(
      'none: numbers as dataset theory-clusters draws them',
    )
  })
})

describe('theory-clusters', () => {
  test('is inspected: clusters, cells, and a sheet of four rows a sample', async () => {
    const sheet = join(dir, 'sheet.png')
    const { code, out } = await callPmoe(['data', 'inspect', ...set, '--out', sheet])
    expect(code).toBe(0)
    expect(out).toContain('theory-clusters in drawn\n60 training and 40 test images, 4x1x50, 2 classes')
    expect(out).toMatch(/cluster 4 +\d+ +[\d.]+% +\d+ +[\d.]+%/)
    expect(out).toContain('Training images by the cell that shows the class (4x1)')
    const { data, info } = await sharp(sheet).removeAlpha().raw().toBuffer({ resolveWithObject: true })
    // The first sample, 100 pixels wide and 96 high, is neither black nor white throughout, and each row is of one piece.
    const at = (x: number, y: number) => data[3 * (y * info.width + x)]
    for (let row = 0; row < 4; row++) {
      const values = Array.from({ length: 48 }, (_, i) => at(14 + 2 * i, 42 + 24 * row + 8))
      expect(new Set(values).size).toBeGreaterThan(5)
      expect(Array.from({ length: 48 }, (_, i) => at(14 + 2 * i, 42 + 24 * row + 16))).toEqual(values)
    }
  })

  test('is not prepared', async () => {
    const out = join(dir, 'prepared')
    expect(await callPmoe(['data', 'prepare', 'theory-clusters', '--samples', '20', '--out', out])).toEqual({
      code: 2,
      out: '',
      err: expect.stringContaining(
        'data prepare: dataset must have images of pixels, got theory-clusters, which has floats (train on it without preparing)',
      ),
    })
    expect(existsSync(out)).toBe(false)
  })

  test.each([
    [
      ['--model', 'wrn'],
      'recipe: model must be one of sample-moe, sample-single for dataset theory-clusters, got wrn',
    ],
    [
      ['--model', 'sample-moe', '--setting', 'S5'],
      "argument 'S5' is invalid. Allowed choices are S1, S2, S3, S4.",
    ],
    [['--model', 'sample-moe', '--samples', '0'], "argument '0' is invalid. It must be a positive integer."],
    [['--model', 'sample-moe', '--image-size', '8'], '--image-size must be used with'],
    [
      ['--model', 'sample-moe', '--gate', 'softmax-all'],
      '--gate must be one of softmax, raw, uniform with model sample-moe',
    ],
    [
      ['--model', 'sample-moe', '--patch-size', '3'],
      'SampleMoE: --patch-size must divide the map, got 3x3 (map 4x1)',
    ],
    [
      ['--model', 'sample-moe', '--experts-per-sample', '9'],
      '--experts-per-sample must be an integer in [1, 8], got 9',
    ],
    [
      ['--model', 'sample-single', '--experts', '2'],
      '--experts must be used with wrn-pmoe, two-layer-pmoe, sample-moe, sample-networks, routed, init',
    ],
    [
      ['--model', 'sample-moe', '--pad-crop', '1'],
      'augmented: --pad-crop must be an integer in [0, 0], got 1',
    ],
  ])('refuses %j', async (words, message) => {
    const out = join(dir, 'refused')
    const result = await callPmoe([
      'train',
      '--dataset',
      'theory-clusters',
      ...words,
      '--out',
      out,
      '--backend',
      'wasm',
    ])
    expect(result).toMatchObject({ code: 2, err: expect.stringContaining(message) })
    expect(existsSync(out)).toBe(false)
  })

  test('shares its setting with no other dataset', async () => {
    const words = ['train', '--dataset', 'digits-patches', '--model', 'two-layer', '--setting', 'S1']
    expect(await callPmoe([...words, '--out', join(dir, 'refused'), '--backend', 'wasm'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--setting must be used with theory-clusters, got dataset digits-patches'),
    })
  })

  test('cannot be named for a folder of files', async () => {
    await writeFile(join(dir, 'x.bin'), 'x')
    const result = await callPmoe(['data', 'inspect', dir, '--dataset', 'theory-clusters', '--no-sheet'])
    expect(result).toMatchObject({
      code: 1,
      err: expect.stringContaining(
        `theory-clusters: a data folder must be left out, got ${dir} (its images are drawn)`,
      ),
    })
  })
})
