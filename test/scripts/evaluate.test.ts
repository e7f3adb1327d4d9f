import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileSystem } from '../../src/files/model-files.js'
import { useTestBackend } from '../backend-under-test.js'
import { callPmoe } from './run-pmoe.js'

let root: string
const at = (...names: string[]) => join(root, ...names)
const wasm = ['--backend', 'wasm']
const names = ['--class-names', 'red,green,blue']

/** An image of one colour, [red, green, blue]. */
async function image(path: string, colour: readonly number[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const [r, g, b] = colour as [number, number, number]
  await sharp({ create: { width: 6, height: 5, channels: 3, background: { r, g, b } } })
    .png()
    .toFile(path)
}

/** A saved model of 2x2 pixels whose logits are the mean red, green and blue, times `scale`. */
async function colourModel(path: string, scale: number): Promise<void> {
  const model = tf.sequential()
  model.add(tf.layers.globalAveragePooling2d({ inputShape: [2, 2, 3], dataFormat: 'channelsLast' }))
  const kernel = tf.tidy(() => tf.mul(tf.eye(3), scale))
  model.add(tf.layers.dense({ units: 3, useBias: false, weights: [kernel], activation: 'softmax' }))
  await model.save(fileSystem(path))
}

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-'))
  await colourModel(at('colours'), 4)
  await colourModel(at('diverged'), Number.NaN)
  await image(at('photos', 'red', 'a, "1".png'), [250, 0, 0])
  await image(at('photos', 'red', '\x1b[31m\n.png'), [200, 10, 0])
  await image(at('photos', 'red', 'leaf.png'), [30, 220, 0])
  await image(at('photos', 'Green', 'b.png'), [0, 240, 20])
  await image(at('photos', 'yak', 'c.png'), [0, 0, 255])
  await image(at('chosen', 'red', '1.png'), [255, 30, 0])
  await image(at('chosen', 'red', '2.png'), [80, 130, 0])
  await image(at('chosen', 'green', '3.png'), [0, 200, 0])
  await image(at('chosen', 'blue', '4.png'), [0, 0, 200])
})

afterAll(() => rm(root, { recursive: true, force: true }))

async function json(...words: string[]) {
  const { code, out } = await callPmoe(['evaluate', ...words, ...wasm, '--json'])
  expect(code).toBe(0)
  return JSON.parse(out)
}

describe('a saved model and a folder', () => {
  test('classes are matched by name, and all numbers are those of the images', async () => {
    const { code, out, err } = await callPmoe(['evaluate', at('colours'), at('photos'), ...names, ...wasm])
    expect(code).toBe(0)
    expect(err).toContain('Names of classes that differ in case only: Green as green.')
    expect(err).toContain('Left out, as no class has this name: yak/.')
    expect(err).toContain('There are no images of blue.')
    expect(out).toContain(`on 4 images of ${at('photos')} (backend wasm)\naccuracy 75.0% (30.1% to 95.4%)`)
    expect(out).toMatch(/^red +3 +100\.0% +66\.7% +80\.0% +1\.000 +1\.000$/m)
    expect(out).toMatch(/^blue +0 +- +- +- +- +-$/m)
    expect(out).toContain('most often confused:\n  red as green: 1\n')
    expect(out).not.toContain('NaN')
    for (const line of out.split('\n').slice(1)) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('JSON has the same, and null for what is not defined', async () => {
    const record = await json(at('colours'), at('photos'), ...names)
    expect(record).toMatchObject({ accuracy: 0.75, count: 4, perClass: { red: 2 / 3, green: 1, blue: null } })
    expect(record.classes[0]).toMatchObject({ class: 'red', count: 3, right: 2, precision: 1 })
    expect(record.classes[2]).toMatchObject({ class: 'blue', recall: null, rocArea: null })
    expect(record.confusions).toContainEqual({ class: 'red', predicted: 'green', count: 1 })
    expect(record.logLoss.value).toBeCloseTo(record.loss, 5)
    expect(record).not.toHaveProperty('thresholds')
  })

  test('a single image, and a single class', async () => {
    await image(at('one', 'blue', 'x.png'), [0, 0, 99])
    const record = await json(at('colours'), at('one'), ...names)
    expect(record).toMatchObject({ accuracy: 1, count: 1 })
    expect(record.macro.rocArea).toEqual({ value: null })
  })

  test('names come from a file as well', async () => {
    await writeFile(at('names.txt'), '\ufeffred\r\ngreen\r\nblue\r\n')
    expect((await json(at('colours'), at('photos'), '--class-names', at('names.txt'))).accuracy).toBe(0.75)
  })

  test.each([
    [['colours'], 2, 'a folder of images, one folder a class, must be given with a saved model, got none'],
    [
      ['colours', 'photos'],
      2,
      /--class-names must name the 3 classes of .*colours in the order of its outputs, got none/,
    ],
    [
      ['colours', 'photos', '--class-names', 'a,b'],
      2,
      /--class-names must name the 3 classes of .*, got 2 names/,
    ],
    [
      ['colours', 'photos', '--class-names', 'a,a,b'],
      2,
      '--class-names must be 2 or more different names by commas, or a file with one a line or a JSON array, got "a" twice',
    ],
    [['colours', 'photos', '--class-names', 'a,,b'], 2, 'got an empty name at position 2'],
    [['colours', 'photos', '--class-names', 'a'], 2, 'got "a"'],
    [
      ['colours', 'photos', ...names, '--precision', '0.9'],
      2,
      /--precision must come with images to choose thresholds on/,
    ],
    [['colours', join('photos', 'red'), ...names], 1, 'got 3 images without labels (pmoe predict classifies'],
    [
      ['colours', 'photos', '--class-names', 'x,y,z'],
      1,
      'folders must have the names of classes, x, y, z, got Green, red, yak',
    ],
    [['colours', 'nowhere', ...names], 1, /nowhere: data folder must be a folder, got nothing there/],
    [
      ['diverged', 'photos', ...names],
      1,
      /outputs of .* must be numbers, got NaN for 4 of 4 images, first red\/[\s\S]* \(has its training diverged\?\)/,
    ],
  ])('refuses %j', async (words, code, message) => {
    const [model, ...rest] = words.map((word, i) => (i < 2 && !word.startsWith('--') ? at(word) : word))
    const result = await callPmoe(['evaluate', model!, ...rest, ...wasm])
    expect({ code: result.code, out: result.out }).toEqual({ code, out: '' })
    expect(result.err).toMatch(typeof message === 'string' ? new RegExp(escaped(message)) : message)
  })

  test('refuses a model that is no classifier', async () => {
    const model = tf.sequential({
      layers: [tf.layers.conv2d({ inputShape: [2, 2, 3], filters: 2, kernelSize: 1 })],
    })
    await model.save(fileSystem(at('map')))
    const { code, err } = await callPmoe(['evaluate', at('map'), at('photos'), ...names, ...wasm])
    expect(code).toBe(2)
    expect(err).toMatch(/map must be a classifier: lossOf: model must have one output \[batch, outputs\]/)
  })

  test('too many images that cannot be read end it, with the limit', async () => {
    await image(at('bad', 'red', '1.png'), [9, 0, 0])
    await writeFile(at('bad', 'red', '2.png'), 'no image')
    const words = ['evaluate', at('colours'), at('bad'), ...names, ...wasm]
    const refused = await callPmoe([...words, '--max-unreadable', '0'])
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('unreadable images must be at most 0')
    const allowed = await callPmoe(words)
    expect(allowed.code).toBe(0)
    expect(allowed.err).toContain('Left out, as they could not be read: 1 image')
  })
})

describe('a report', () => {
  const words = () => ['evaluate', at('colours'), at('photos'), ...names, ...wasm]

  test('has a page, pictures and tables; names do no harm in them', async () => {
    const { code, out } = await callPmoe([
      ...words(),
      '--validation',
      at('chosen'),
      '--report',
      at('new', 'report'),
    ])
    expect(code).toBe(0)
    expect(out).toContain(`thresholds for the best F1 chosen on 4 images of ${at('chosen')}\n`)
    expect(out).toMatch(/temperature \d+\.\d\d, then calibration error/)
    expect((await readdir(at('new', 'report'))).sort()).toEqual([
      'calibration.png',
      'classes.csv',
      'confusions.csv',
      'confusions.png',
      'evaluation.json',
      'index.html',
      'most-wrong.png',
      'predictions.csv',
      'roc.png',
    ])
    const read = (name: string) => readFile(at('new', 'report', name), 'utf8')
    const csv = await read('predictions.csv')
    expect(csv.split('\n')[0]).toBe(
      'image,class,predicted,right,probability of the class,probability of the predicted,' +
        'probability of red,probability of green,probability of blue',
    )
    expect(csv).toContain('\n"red/a, ""1"".png",red,red,yes,')
    expect(csv).toContain('"red/\\x1b[31m\n.png",red,red,yes,')
    expect(csv).toContain('\nred/leaf.png,red,green,no,')
    expect(await read('confusions.csv')).toBe(
      'class,predicted,images\nred,red,2\nred,green,1\ngreen,green,1\n',
    )
    expect(await read('classes.csv')).toMatch(/^blue,0,0,0,,,,,,,,,,0\.\d+,,,$/m)
    const html = await read('index.html')
    expect(html).toContain('The 1 wrong image<')
    expect(html).toContain('is red')
    expect(html).not.toMatch(/NaN|undefined/)
    expect(html).not.toContain('\x1b')
    const { width } = await sharp(at('new', 'report', 'most-wrong.png')).metadata()
    expect(width).toBeGreaterThan(100)
  })

  test('the page, the table and the JSON say the same', async () => {
    const record = JSON.parse(await readFile(at('new', 'report', 'evaluation.json'), 'utf8'))
    const html = await readFile(at('new', 'report', 'index.html'), 'utf8')
    const { out } = await callPmoe(words())
    const macro = `${(record.macro.f1.value * 100).toFixed(1)}%`
    expect(html).toContain(`<th scope="row">F1, mean of the classes</th><td>${macro}</td>`)
    expect(out).toContain(`mean F1 ${macro} (`)
    expect(record.thresholds.classes[0].measured.count).toBe(3)
    expect(record.temperature.fittedOn).toBe(`4 images of ${at('chosen')}`)
  })

  test('is replaced with --force alone, and something else never', async () => {
    const report = at('again')
    expect((await callPmoe([...words(), '--report', report])).code).toBe(0)
    await writeFile(join(report, 'index.html'), 'old')
    const refused = await callPmoe([...words(), '--report', report])
    expect([refused.code, refused.out]).toEqual([1, ''])
    expect(refused.err).toContain(
      `evaluate: ${report} must be new, got one that is there (replace it with --force)`,
    )
    expect(await readFile(join(report, 'index.html'), 'utf8')).toBe('old')
    expect((await callPmoe([...words(), '--report', report, '--force'])).code).toBe(0)
    expect(await readFile(join(report, 'index.html'), 'utf8')).toContain('<!doctype html>')
    const foreign = await callPmoe([...words(), '--report', at('photos'), '--force'])
    expect(foreign.code).toBe(1)
    expect(foreign.err).toContain('must be new, empty or an export with evaluation.json')
  })

  test('a report without wrong images drops the picture of the one before', async () => {
    const report = at('dropped')
    expect((await callPmoe([...words(), '--report', report])).code).toBe(0)
    await image(at('right', 'green', 'g.png'), [0, 200, 0])
    const right = ['evaluate', at('colours'), at('right'), ...names, ...wasm]
    expect((await callPmoe([...right, '--report', report, '--force'])).code).toBe(0)
    expect(await readdir(report)).not.toContain('most-wrong.png')
  })

  test('nothing is written when Ctrl-C stops it', async () => {
    const stopped = callPmoe([...words(), '--report', at('stopped')])
    while (process.listenerCount('SIGINT') === 0) await new Promise(resolve => setTimeout(resolve, 1))
    process.emit('SIGINT')
    const { out, err } = await stopped
    expect(process.exitCode).toBe(130)
    process.exitCode = 0
    expect(out).toBe('')
    expect(err).toContain('Stopping; nothing is written ...')
    expect(await readdir(root)).not.toContain('stopped')
  })
})

test('a folder of prepared images is refused by name, as the images and to choose on', async () => {
  const prepared = at('prepared')
  const words = ['digits-patches', '--samples', '4', '--test-samples', '4', '--out', prepared]
  expect((await callPmoe(['data', 'prepare', ...words])).code).toBe(0)
  const refusal = (flag: string) =>
    `evaluate: ${flag} must be a folder of images, one folder a class, got ${prepared}, which pmoe data prepare wrote ` +
    '(--data reads it as the images of the run)'
  const images = await callPmoe(['evaluate', at('colours'), prepared, ...names, ...wasm])
  expect([images.code, images.out]).toEqual([2, ''])
  expect(images.err).toContain(refusal('the folder'))
  const chosen = [at('photos'), '--validation', prepared]
  const other = await callPmoe(['evaluate', at('colours'), ...chosen, ...names, ...wasm])
  expect([other.code, other.out]).toEqual([2, ''])
  expect(other.err).toContain(refusal('--validation'))
})

describe('runs of every kind', () => {
  test.each([
    ['two-layer-pmoe', ['--dataset', 'digits-patches'], undefined],
    [
      'sample-networks',
      ['--dataset', 'fashion-rotated', '--experts', '2', '--expert-filters', '2'],
      'trouser',
    ],
    [
      'routed',
      ['--dataset', 'image-folder', '--batch-size', '4', '--cell-size', '8', '--view-scale', '2'],
      'red',
    ],
  ])('%s', async (model, flags, className) => {
    const data =
      model === 'routed' ? ['--data', await routedPhotos()] : ['--samples', '20', '--test-samples', '10']
    const run = at(`run-${model}`)
    const trained = await callPmoe([
      'train',
      '--model',
      model,
      ...flags,
      ...data,
      '--epochs',
      '1',
      ...wasm,
      '--out',
      run,
    ])
    expect({ code: trained.code, err: trained.err }).toEqual({ code: 0, err: '' })
    const { code, err } = await callPmoe(['evaluate', run, '--report', at(`report-${model}`), ...wasm])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const record = JSON.parse(await readFile(at(`report-${model}`, 'evaluation.json'), 'utf8'))
    if (model === 'two-layer-pmoe') {
      const [mixture] = record.mixtures
      expect(mixture).toMatchObject({
        layer: expect.any(String),
        patches: 16,
        patchesPerExpert: 6,
        images: 10,
      })
      expect(mixture.routerChanges.every((change: number) => change > 0)).toBe(true)
      expect(record.signs).toBeInstanceOf(Array)
      const page = await readFile(at(`report-${model}`, 'index.html'), 'utf8')
      expect(page).toContain(`${mixture.layer}: 6 of 16 patches, on 10 images`)
    } else expect(record).not.toHaveProperty('mixtures')
    expect(record.accuracy).toBe(
      record.classes.reduce((sum: number, { right }: { right: number }) => sum + right, 0) / record.count,
    )
    if (!className) return
    await image(at(`folder-${model}`, className, '1.png'), [250, 20, 0])
    const folder = await json(run, at(`folder-${model}`))
    expect(folder).toMatchObject({ count: 1, perClass: { [className]: expect.any(Number) } })
    expect((await callPmoe(['evaluate', run, at(`folder-${model}`), ...names, ...wasm])).err).toContain(
      '--class-names must be left out for a run, which knows its classes, got red,green,blue',
    )
  })

  /** Photographs with a validation half. */
  async function routedPhotos(): Promise<string> {
    for (const half of ['train', 'val', 'test']) {
      for (const [i, name] of ['red', 'green'].entries()) {
        for (const number of [1, 2, 3]) {
          const path = at('halves', half, name, `${number}.png`)
          await mkdir(dirname(path), { recursive: true })
          const background = { r: i === 0 ? 200 : 0, g: i === 1 ? 200 : 0, b: 40 * number }
          await sharp({ create: { width: 40, height: 32, channels: 3, background } })
            .png()
            .toFile(path)
        }
      }
    }
    return at('halves')
  }

  test('a folder that the run was trained on is named as such, its test half is not', async () => {
    const note = 'The model was trained on images of'
    const err = async (...folder: string[]) =>
      (await callPmoe(['evaluate', at('run-routed'), at('halves', ...folder), ...wasm])).err
    expect(await err('train')).toContain(note)
    expect(await err()).toContain('The images are those of test/, the test half.')
    for (const folder of [[], ['test']]) expect(await err(...folder)).not.toContain(note)
  })

  test('thresholds of a run are chosen on its validation images', async () => {
    const record = JSON.parse(await readFile(at('report-routed', 'evaluation.json'), 'utf8'))
    expect(record.thresholds).toMatchObject({
      goal: 'the best F1',
      chosenOn: '6 validation images of image-folder',
    })
    const strict = await json(at('run-routed'), '--precision', '0.9')
    expect(strict.thresholds.goal).toBe('a precision of at least 90%')
  })
})

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
