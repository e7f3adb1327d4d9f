import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileSystem } from '../../../src/files/model-files.js'
import { useTestBackend } from '../../backend-under-test.js'
import { decodeOnnx, runOnnx } from '../../export/run-onnx.js'
import { callPmoe, jsonLines } from '../run-pmoe.js'

/** A folder of photographs as people have them, and a network that was trained on pixels of -1..1. */
let root = ''
const at = (...names: string[]) => join(root, ...names)
const kinds = { trousers: 1, bags: 8 } as const
const perKind = 15

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-newcomer-'))
  await writePhotographs()
  const model = smallNetwork()
  await model.save(fileSystem(at('network')))
  model.dispose()
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** Clothes of the samples in several sizes and kinds of file, and one file that is broken. */
async function writePhotographs(): Promise<void> {
  const unpacked = async (name: string, header: number) =>
    gunzipSync(await readFile(join('samples', 'fashion-mini', name))).subarray(header)
  const pixels = await unpacked('train-images-idx3-ubyte.gz', 16)
  const labels = await unpacked('train-labels-idx1-ubyte.gz', 8)
  for (const [kind, label] of Object.entries(kinds)) {
    await mkdir(at('photos', kind), { recursive: true })
    const numbers = [...labels.keys()].filter(i => labels[i] === label).slice(0, perKind)
    for (const [n, i] of numbers.entries()) {
      const raw = { width: 28, height: 28, channels: 1 } as const
      const image = sharp(pixels.subarray(i * 784, (i + 1) * 784), { raw }).resize(30 + 3 * n, 40 + 2 * n)
      await writeFile(at('photos', kind, `${n}.${n % 4 === 0 ? 'png' : 'jpg'}`), await asFile(image, n % 4))
    }
  }
  await writeFile(at('photos', 'bags', 'broken.jpg'), Buffer.from('ffd8ffe000104a46', 'hex'))
}

/** With an alpha channel, grey, lying on its side with a tag that says so, or plain. */
async function asFile(image: Sharp, kind: number): Promise<Buffer> {
  if (kind === 0) return image.toColourspace('srgb').ensureAlpha(0.8).png().toBuffer()
  if (kind === 1) return image.toColourspace('b-w').jpeg().toBuffer()
  const jpeg = await image.toColourspace('srgb').jpeg().toBuffer()
  return kind === 2 ? sharp(jpeg).rotate(-90).withMetadata({ orientation: 6 }).jpeg().toBuffer() : jpeg
}

function smallNetwork(): tf.LayersModel {
  const seeded = (seed: number) => tf.initializers.heNormal({ seed })
  const conv = (name: string, filters: number, seed: number, more = {}) =>
    tf.layers.conv2d({
      ...{ name, filters, kernelSize: 3, strides: 2, activation: 'relu', ...more },
      kernelInitializer: seeded(seed),
    })
  return tf.sequential({
    layers: [
      conv('conv1', 8, 1, { inputShape: [48, 48, 3] }),
      conv('conv2', 16, 2),
      tf.layers.globalAveragePooling2d({ name: 'pool' }),
      tf.layers.dense({ units: 7, name: 'answers' }),
    ],
  })
}

/** The pixels of a photograph as another program reads them: upright, on white, stretched. */
async function pixelsOf(path: string, side: number): Promise<tf.Tensor4D> {
  const { data } = await sharp(path)
    .rotate()
    .flatten({ background: 'white' })
    .resize(side, side, { fit: 'fill', kernel: 'linear' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  return tf.tensor4d(
    Float32Array.from(data, byte => byte / 255),
    [1, side, side, 3],
  )
}

describe('from a folder of photographs and a trained network to an ONNX file', () => {
  test('in three commands, and the file answers as the run does', async () => {
    const trained = await callPmoe([
      ...[
        'train',
        '--init',
        at('network'),
        '--dataset',
        'image-folder',
        '--data',
        at('photos'),
        '--validation',
        '0.2',
      ],
      ...[
        '--image-size',
        '32',
        '--input-scaling',
        '-1..1',
        '--epochs',
        '8',
        '--batch-size',
        '8',
        '--lr',
        '0.05',
      ],
      ...['--max-unreadable', '1', '--backend', 'wasm', '--out', at('run')],
    ])
    expect([trained.code, trained.err]).toEqual([0, expect.any(String)])
    expect(trained.out + trained.err).toContain('Takes images of 32x32 instead of 48x48x3.')
    expect(trained.out + trained.err).toContain('Input scaling -1..1: as asked for by --input-scaling.')
    expect(trained.out + trained.err).toContain(
      'New head answers with 2 outputs: the model tells 7 classes apart',
    )
    const { model, dataset } = JSON.parse(await readFile(at('run', 'config.json'), 'utf8'))
    expect([model.options.inputScaling, dataset.imageSize]).toEqual(['-1..1', [32, 32]])

    const evaluated = await callPmoe([
      'evaluate',
      at('run'),
      '--report',
      at('report'),
      '--backend',
      'wasm',
      '--json',
    ])
    expect(evaluated.code).toBe(0)

    const exported = await callPmoe([
      ...['export', at('run'), '--format', 'onnx', '--out', at('photos.onnx'), '--backend', 'wasm'],
    ])
    expect([exported.code, exported.err]).toEqual([0, ''])
    // The first convolution does not pad: the scaling is in its kernel.
    expect(exported.out).toMatch(/2 Conv/)
    expect(exported.out).not.toMatch(/\d (BatchNormalization|Mul)\b/)
    const file = await readFile(at('photos.onnx'))
    const { metadataProps, graph } = await decodeOnnx(file)
    expect(metadataProps).toContainEqual({ key: 'input_scaling', value: '-1..1' })
    expect(metadataProps).toContainEqual({ key: 'classes', value: '["bags","trousers"]' })
    const input = graph.input[0]?.name ?? ''

    const predicted = await callPmoe(['predict', at('run'), at('photos'), '--json', '--backend', 'wasm'])
    const answers = jsonLines(predicted.out) as unknown as readonly {
      image: string
      class: string
      probability: number
    }[]
    expect(answers.length).toBe(2 * perKind)
    for (const { image, class: name, probability } of answers) {
      const x = await pixelsOf(image, 32)
      const [output] = Object.values(await runOnnx(file, { [input]: x }))
      x.dispose()
      const [bags = 0, trousers = 0] = output?.data ?? []
      expect(['bags', 'trousers'][+(trousers > bags)], image).toBe(name)
      expect(1 / (1 + Math.exp(-Math.abs(trousers - bags))), image).toBeCloseTo(probability, 1)
    }
    // It learned something: guessing is right on half of them.
    expect(answers.filter(each => each.image.includes(each.class)).length).toBeGreaterThan(1.5 * perKind)
  })

  test('a run that goes on from it has one scaling still', async () => {
    const { code, out, err } = await callPmoe([
      ...['train', '--init', at('run'), '--dataset', 'image-folder', '--data', at('photos'), '--epochs', '1'],
      ...['--backend', 'wasm', '--max-unreadable', '1', '--out', at('again')],
    ])
    expect([code, out + err]).toEqual([
      0,
      expect.stringContaining('its layer input_scaling is there for it.'),
    ])
    expect(out + err).toContain(`Kept the head of ${at('run')}.`)
    const text = await readFile(at('again', 'model', 'model.json'), 'utf8')
    expect(text.match(/"class_name":"InputScaling"/g)).toHaveLength(1)
  })
})

interface Answer {
  readonly class: string
  readonly probabilities: Readonly<Record<string, number>>
}

describe('a network that no run knows', () => {
  const ask = (command: string, ...words: string[]) =>
    callPmoe([command, at('network'), ...words, '--backend', 'wasm'])
  const photo = () => at('photos', 'bags', '1.jpg')
  const seven = 'a,b,c,d,e,f,g'

  test('has the classes and the scaling that are given', async () => {
    await writeFile(at('names.json'), JSON.stringify([...seven.split(',').slice(0, 6), 'g, too']))
    const named = await ask('predict', photo(), '--json', '--class-names', at('names.json'))
    const [first] = jsonLines(named.out) as unknown as Answer[]
    expect(Object.keys(first?.probabilities ?? {})).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g, too'])
    const numbered = await ask('predict', photo(), '--json', '--input-scaling', 'caffe')
    const [second] = jsonLines(numbered.out) as unknown as Answer[]
    expect(Object.keys(second?.probabilities ?? {})).toEqual(['0', '1', '2', '3', '4', '5', '6'])
    expect(Object.values(second?.probabilities ?? {})).not.toEqual(Object.values(first?.probabilities ?? {}))
  })

  test('is refused with other names than it has outputs, and a run with any', async () => {
    for (const command of ['predict', 'explain']) {
      const { code, err } = await ask(command, photo(), '--class-names', 'a,b,c')
      expect([code, err]).toEqual([
        2,
        expect.stringContaining(
          `${command}: --class-names must name the 7 classes of ${at('network')}, got 3 names`,
        ),
      ])
    }
    const run = await callPmoe(['predict', at('run'), photo(), '--class-names', 'a,b', '--backend', 'wasm'])
    expect([run.code, run.err]).toEqual([
      2,
      expect.stringContaining(
        'predict: --class-names must be left out for a run, which knows its classes, got a,b',
      ),
    ])
    const scaled = await callPmoe([
      'predict',
      at('run'),
      photo(),
      '--input-scaling',
      '0..1',
      '--backend',
      'wasm',
    ])
    expect([scaled.code, scaled.err]).toEqual([
      2,
      expect.stringContaining(
        'predict: --input-scaling must be left out for a run, which has its own, got 0..1',
      ),
    ])
    const unknown = await ask('predict', photo(), '--input-scaling', 'torch')
    expect([unknown.code, unknown.err]).toEqual([
      2,
      expect.stringContaining('0..1, -1..1, 0..255, imagenet, caffe, auto'),
    ])
  })
})
