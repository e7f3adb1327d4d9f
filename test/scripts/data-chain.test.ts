/**
 * From files in their true formats to a trained network, a family of datasets at a time: prepare, verify, inspect, train.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { random } from '../../src/random.js'
import { writeFaces } from '../../tools/drawn-faces/write.js'
import { cifar10Files, cifarRecords } from '../data/cifar-files.js'
import { idxBytes } from '../data/memory-source.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const faceImages = join(root, 'samples', 'drawn-faces-celeba', 'img_align_celeba')

/** Drawn faces, enough for each cell. */
const drawn = {
  count: 60,
  smiling: 0.5,
  eyeglasses: 0.3,
  black: 0.5,
  blond: 0.5,
  validation: 0,
  test: 0.5,
  seed: 3,
}

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pmoe-chain-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** Writes files into a new folder. */
async function folderOf(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const folder = join(dir, name)
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), bytes)
  }
  return folder
}

/** CIFAR-100: a superclass and a class a record. */
function cifar100Files(): Record<string, Uint8Array> {
  const records = (count: number, seed: number) =>
    cifarRecords(
      Array.from({ length: count }, (_, i) => [i % 20, i % 100]),
      seed,
    )
  return { 'train.bin': records(200, 1), 'test.bin': records(100, 2) }
}

/** MNIST's files with a few random 8x8 images of each digit. */
function digitFiles(): Record<string, Uint8Array> {
  const chance = random(4, 'digits')
  const half = (name: string, count: number): Record<string, Uint8Array> => ({
    [`${name}-images-idx3-ubyte.gz`]: gzipSync(
      idxBytes(
        0x803,
        [count, 8, 8],
        Array.from({ length: count * 64 }, () => chance.below(256)),
      ),
    ),
    [`${name}-labels-idx1-ubyte`]: idxBytes(
      0x801,
      [count],
      Array.from({ length: count }, (_, i) => i % 10),
    ),
  })
  return { ...half('train', 60), ...half('t10k', 20) }
}

/** Photographs of two colours and many sizes, in two formats. */
async function photographs(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {}
  for (const [half, count] of [
    ['train', 6],
    ['test', 3],
  ] as const) {
    for (const [name, background] of [
      ['leaf', '#207020'],
      ['stone', '#808080'],
    ] as const) {
      for (let i = 0; i < count; i++) {
        const image = sharp({ create: { width: 30 + i, height: 50, channels: 3, background } })
        const [ending, encoded] = i % 2 === 0 ? ['jpg', image.jpeg()] : ['png', image.png()]
        files[`${half}/${name}/${i}.${ending}`] = new Uint8Array(await encoded.toBuffer())
      }
    }
  }
  return files
}

interface Family {
  readonly dataset: string
  /** Makes the files and returns their folder. */
  readonly files: () => Promise<string>
  /** What is said besides the dataset and its files. */
  readonly words?: () => readonly string[]
  readonly samples: number
  readonly testSamples: number
  readonly classes: Readonly<Record<string, number>>
  /** Settings of the smallest network that fits. */
  readonly network: readonly string[]
}

const small = [
  '--model',
  'two-layer-pmoe',
  '--patch-size',
  '8',
  '--experts',
  '4',
  '--patches-per-expert',
  '2',
]

const families: readonly Family[] = [
  {
    dataset: 'cifar10',
    files: () => folderOf('cifar10', cifar10Files(10)),
    samples: 20,
    testSamples: 10,
    classes: { airplane: 2, truck: 2 },
    network: small,
  },
  {
    dataset: 'cifar-vehicles',
    files: () => folderOf('vehicles', cifar10Files(10)),
    samples: 16,
    testSamples: 8,
    classes: { airplane: 4, automobile: 4, ship: 4, truck: 4 },
    network: small,
  },
  {
    dataset: 'cifar10-noise',
    files: () => folderOf('noise', cifar10Files(10)),
    words: () => ['--backgrounds', faceImages],
    samples: 20,
    testSamples: 10,
    classes: { cat: 2, dog: 2 },
    network: small,
  },
  {
    dataset: 'cifar100',
    files: () => folderOf('cifar100', cifar100Files()),
    samples: 100,
    testSamples: 100,
    classes: { apple: 1, worm: 1 },
    network: small,
  },
  {
    dataset: 'mnist-patches',
    files: () => folderOf('digits', digitFiles()),
    words: () => ['--grid-side', '3', '--targets', '0,1', '--distractors', '2,3'],
    samples: 20,
    testSamples: 10,
    classes: { 0: 10, 1: 10 },
    network: small,
  },
  {
    dataset: 'image-folder',
    files: async () => folderOf('photographs', await photographs()),
    words: () => ['--image-size', '32'],
    samples: 12,
    testSamples: 6,
    classes: { leaf: 6, stone: 6 },
    network: small,
  },
  {
    dataset: 'celeba-spurious',
    files: async () => {
      const out = join(dir, 'faces')
      await writeFaces({ ...drawn, out, layout: 'zip' })
      return out
    },
    words: () => ['--image-size', '32', '--crop', 'center148'],
    samples: 8,
    testSamples: 4,
    classes: { Not_Smiling: 4, Smiling: 4 },
    network: small,
  },
  {
    dataset: 'tfds',
    files: async () => join(root, 'test', 'goldens', 'tfds'),
    samples: 10,
    testSamples: 10,
    classes: { airplane: 1, truck: 1 },
    network: small,
  },
]

describe.each(families)(
  '$dataset',
  ({ dataset, files, words = () => [], samples, testSamples, classes, network }) => {
    let data: string
    let prepared: string
    const counts = ['--samples', `${samples}`, '--test-samples', `${testSamples}`]
    beforeAll(async () => {
      data = await files()
      prepared = join(dir, `prepared-${dataset}`)
      const made = await callPmoe([
        ...['data', 'prepare', dataset, '--data', data, '--out', prepared],
        ...counts,
        ...words(),
      ])
      expect({ code: made.code, err: made.err }).toEqual({ code: 0, err: '' })
    })

    test('is whole once prepared, and holds what was asked for', async () => {
      const verified = await callPmoe(['data', 'verify', prepared, '--json'])
      expect(verified.code).toBe(0)
      expect(JSON.parse(verified.out)).toMatchObject({
        prepared: true,
        damaged: 0,
        records: samples + testSamples,
      })
      const sheet = join(dir, `${dataset}.png`)
      const inspected = await callPmoe(['data', 'inspect', prepared, '--json', '--out', sheet])
      expect(inspected.code).toBe(0)
      const found = JSON.parse(inspected.out) as { train: { count: number }; test: { count: number } }
      expect(found).toMatchObject({
        dataset,
        train: { count: samples, classes },
        test: { count: testSamples },
      })
      const { width, height } = await sharp(sheet).metadata()
      expect(Math.min(width, height)).toBeGreaterThan(100)
    })

    test('trains for an epoch, and evaluates what it stored', async () => {
      const run = join(dir, `run-${dataset}`)
      const train = ['train', '--dataset', dataset, '--data', prepared, ...counts, ...network]
      const trained = await callPmoe([...train, '--epochs', '1', '--backend', 'wasm', '--out', run])
      expect({ code: trained.code, err: trained.err }).toEqual({ code: 0, err: '' })
      expect(trained.out).toContain(
        `on ${samples} images of ${dataset}, testing on ${testSamples}; backend wasm`,
      )
      const [epoch] = jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
      const evaluated = await callPmoe(['evaluate', run, '--backend', 'wasm', '--json'])
      expect(evaluated.code).toBe(0)
      const again = JSON.parse(evaluated.out) as { count: number; accuracy: number; loss: number }
      expect(again).toMatchObject({ count: testSamples, accuracy: epoch?.testAccuracy })
      // Batches of other sizes round differently.
      expect(again.loss).toBeCloseTo(epoch?.testLoss as number, 4)
    })
  },
)

test('the program itself goes the same way, one process a command', async () => {
  const prepared = join(dir, 'prepared-processes')
  const run = join(dir, 'run-processes')
  const commands = [
    ['data', 'prepare', 'digits-patches', '--samples', '20', '--test-samples', '10', '--out', prepared],
    ['data', 'verify', prepared],
    ['data', 'inspect', prepared, '--out', join(dir, 'processes.png')],
    [
      ...['train', '--dataset', 'digits-patches', '--data', prepared, '--model', 'two-layer-pmoe'],
      ...['--samples', '20', '--test-samples', '10', '--epochs', '1', '--backend', 'wasm', '--out', run],
    ],
  ]
  const said: string[] = []
  for (const words of commands) {
    const { code, out, err } = await runPmoe(words)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    said.push(out.trimEnd().split('\n').at(-1) ?? '')
  }
  expect(said).toEqual([
    expect.stringMatching(/^Prepared 20 training and 10 test images of digits-patches/),
    expect.stringMatching(/^All is well: 30 records/),
    `Contact sheet of 20 training images: ${join(dir, 'processes.png')}`,
    expect.stringMatching(/^Done: test accuracy /),
  ])
})
