import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Runtime } from '../../scripts/run/export-formats/model-runtime.js'
import { compare, comparisonBytes, comparisonFloats, fed, repeated } from '../../scripts/run/export-parity.js'
import { latency } from '../../scripts/run/measuring/export-latency.js'
import { openModel } from '../../scripts/run/opened-model.js'
import { readSafetensors } from '../../src/data/formats/safetensors.js'
import { samplesFolder } from '../../src/files/data-folder.js'
import { fileSystem } from '../../src/files/model-files.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import { mixtureCases, trained } from '../export/exported-models.js'
import { decodeOnnx } from '../export/run-onnx.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

const ort = vi.hoisted(() => ({ missing: '', interrupt: false, offset: 0 }))
vi.mock('onnxruntime-node', async importOriginal => {
  const original = await importOriginal<typeof import('onnxruntime-node')>()
  return {
    ...original,
    get InferenceSession() {
      if (ort.missing) throw Object.assign(new Error('no binary\nhere'), { code: ort.missing })
      // Ctrl-C, while the file is being run.
      if (ort.interrupt) process.emit('SIGINT')
      if (ort.offset === 0) return original.InferenceSession
      return { create: (path: string) => original.InferenceSession.create(path).then(shifted) }
    },
  }
})

/** A session whose outputs are off. */
function shifted(session: import('onnxruntime-node').InferenceSession) {
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    release: () => session.release(),
    run: async (feeds: import('onnxruntime-node').InferenceSession.OnnxValueMapType) => {
      const outputs = await session.run(feeds)
      for (const { data } of Object.values(outputs)) (data as Float32Array)[0]! += ort.offset
      return outputs
    },
  }
}

let root: string
let model: string

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-export-'))
  model = join(root, 'model')
  const pmoe = { numExperts: 2, patchesPerExpert: 3, patchSize: 2 }
  const network = trained(wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe }))
  await network.save(fileSystem(model))
})
afterAll(() => rm(root, { recursive: true }))

const wasm = ['--backend', 'wasm']
const exporting = (...words: string[]) => ['export', model, ...words, ...wasm]

describe('pmoe export --quantize int8', () => {
  test('measures ranges on the images named, and says what stays in float32', async () => {
    const out = join(root, 'eight.onnx')
    const faces = samplesFolder('drawn-faces-celeba').describe('img_align_celeba')
    const words = ['--format', 'onnx', '--out', out, '--quantize', 'int8', '--calibrate', faces]
    const { code, out: text, err } = await runPmoe(exporting(...words))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(text).toContain(
      'in float32: patch_moe (a router, whose choices must stay the same), logits (the last',
    )
    expect(text).toMatch(/outputs differ by [\d.]+e-[1-9] at most/)
    const { graph } = await decodeOnnx(await readFile(out))
    expect(graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length).toBeGreaterThan(5)
  })

  test('needs images for a model without a run, and a format that can hold it', async () => {
    const out = join(root, 'never.onnx')
    const bare = await runPmoe(exporting('--format', 'onnx', '--out', out, '--quantize', 'int8'))
    expect(bare).toMatchObject({ code: 2 })
    expect(bare.err).toContain('export: --quantize int8 must come with --calibrate for a model that is not')
    const other = await runPmoe(exporting('--format', 'savedmodel', '--out', out, '--quantize', 'int8'))
    expect(other).toMatchObject({ code: 2 })
    expect(other.err).toContain('export: --quantize int8 must be used with onnx, got --format savedmodel')
    const alone = await runPmoe(exporting('--format', 'onnx', '--out', out, '--calibrate', 'faces'))
    expect(alone).toMatchObject({ code: 2 })
    expect(alone.err).toContain('export: --calibrate must come with --quantize int8, got faces alone')
    const missing = await runPmoe(
      exporting('--format', 'onnx', '--out', out, '--quantize', 'int8', '--calibrate', join(root, 'nowhere')),
    )
    expect(missing).toMatchObject({ code: 1 })
    expect(missing.err).toContain('nothing there')
    await expect(readFile(out)).rejects.toThrow('ENOENT')
  })
})

describe('pmoe export --quantize float16', () => {
  test.each([
    ['onnx', 'half.onnx'],
    ['tfjs', 'half'],
  ])('writes %s in about half the bytes, and runs it', async (format, name) => {
    const out = join(root, name)
    const words = ['--format', format, '--out', out, '--quantize', 'float16']
    const { code, out: text, err } = await callPmoe(exporting(...words, '--json'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const [told] = jsonLines(text) as [
      { bytes: number; unquantizedBytes: number; inFloat: { layer: string }[] },
    ]
    expect(told.bytes).toBeLessThan(0.75 * told.unquantizedBytes)
    expect(told).toMatchObject({ verified: true, parity: { samples: 16, otherClass: 0 } })
    expect(told.inFloat.map(({ layer }) => layer)).toEqual([expect.stringMatching(/^patch_moe/)])
    await useTestBackend()
  })

  test('is refused where a format has no such numbers, and with images', async () => {
    const out = join(root, 'never')
    expect(
      await callPmoe(exporting('--format', 'weights', '--out', out, '--quantize', 'float16')),
    ).toMatchObject({
      code: 2,
      err: 'pmoe: export: --quantize float16 must be used with tfjs, onnx or savedmodel, got --format weights\n',
    })
    const words = ['--format', 'tfjs', '--out', out, '--quantize', 'float16', '--calibrate', root]
    expect(await callPmoe(exporting(...words))).toMatchObject({
      code: 2,
      err: 'pmoe: export: --calibrate must come with --quantize int8, got --quantize float16\n',
    })
  })
})

describe('pmoe export --variable-patches', () => {
  test('of 8 bits, or in float16, is calibrated and run with several L', async () => {
    const faces = samplesFolder('drawn-faces-celeba').describe('img_align_celeba')
    for (const narrow of [['int8', '--calibrate', faces], ['float16']]) {
      const out = join(root, `any-${narrow[0]}.onnx`)
      const words = ['--format', 'onnx', '--out', out, '--variable-patches', '--quantize', ...narrow]
      const { code, out: text, err } = await callPmoe(exporting(...words, '--json'))
      expect({ code, err }).toEqual({ code: 0, err: '' })
      // 16 samples with each of 1, 3 and 16 patches.
      expect(jsonLines(text)[0]).toMatchObject({ verified: true, parity: { samples: 48 } })
      await useTestBackend()
    }
  })

  test('is refused in formats without inputs of their own, and for experts that read patches of images', async () => {
    const out = join(root, 'never')
    expect(await callPmoe(exporting('--format', 'tfjs', '--out', out, '--variable-patches'))).toMatchObject({
      code: 2,
      err: 'pmoe: export: --variable-patches must be used with onnx or savedmodel, got --format tfjs\n',
    })
    const routed = join(root, 'routed')
    await mixtureCases
      .find(({ name }) => name === 'PatchExperts, product')!
      .build()
      .save(fileSystem(routed))
    const refused = await callPmoe([
      'export',
      routed,
      '--format',
      'onnx',
      '--out',
      out,
      '--variable-patches',
      ...wasm,
    ])
    expect(refused.code).toBe(2)
    expect(refused.err).toMatch(
      /^pmoe: export: --variable-patches must be for a model with layers that keep patches of a map, got none in \S+ \(layer \S+, a PatchExperts, keeps as many as in training\)\n$/,
    )
  })
})

describe('pmoe export', () => {
  test('onnx: runs the file, tells size, operations, parity and latency, and leaves one file', async () => {
    const out = join(root, 'a.onnx')
    const words = ['--format', 'onnx', '--out', out, '--layout', 'nchw', '--pixels', 'uint8', '--json']
    const { code, out: text, err } = await runPmoe(exporting(...words, '--class-names', 'cat, dog,bird'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const [told] = jsonLines(text)
    const bytes = await readFile(out)
    expect(told).toMatchObject({
      format: 'onnx',
      verified: true,
      runtime: 'ONNX Runtime',
      bytes: bytes.length,
    })
    expect(told?.parity).toMatchObject({ samples: 16, otherClass: 0 })
    expect((told!.parity as { difference: number }).difference).toBeLessThan(1e-5)
    expect((told!.latency as { batch: number }[]).map(({ batch }) => batch)).toEqual([1, 64])
    const { graph, metadataProps } = await decodeOnnx(bytes)
    expect(Object.values(told?.operations as object).reduce((sum, n) => sum + n, 0)).toBe(graph.node.length)
    expect(JSON.parse(metadataProps.find(({ key }) => key === 'classes')!.value)).toEqual([
      'cat',
      'dog',
      'bird',
    ])
    expect((await readdir(root)).filter(name => name.includes('tmp'))).toEqual([])
  })

  test('tfjs: a model that loads, with its classes', async () => {
    const out = join(root, 'tfjs')
    const { code, out: text } = await callPmoe(
      exporting('--format', 'tfjs', '--out', out, '--class-names', 'a,b,c'),
    )
    expect(code).toBe(0)
    expect(text).toMatch(/as tfjs LayersModel: .*, [\d,]+ bytes, \d+ layers/)
    expect(text).toMatch(/Run by tfjs on wasm: on 16 samples outputs differ by 0\.0e\+0 at most/)
    expect(text).toMatch(/batch of 64 +\d/)
    const json = JSON.parse(await readFile(join(out, 'model.json'), 'utf8'))
    expect(json.userDefinedMetadata.classNames).toEqual(['a', 'b', 'c'])
    expect((await openModel(out)).classNames).toEqual(['a', 'b', 'c'])
  })

  test('weights: every tensor by layer and name', async () => {
    const out = join(root, 'w.safetensors')
    const { code, out: text } = await callPmoe(exporting('--format', 'weights', '--out', out))
    expect(code).toBe(0)
    expect(text).toContain('Run by tfjs on wasm')
    const { tensors } = readSafetensors(await readFile(out), out)
    expect(tensors.get('stem/kernel')?.shape).toEqual([3, 3, 3, 16])
  })

  test('savedmodel: says that wasm cannot run it, and writes it', async () => {
    const out = join(root, 'saved')
    const { code, out: text } = await callPmoe(exporting('--format', 'savedmodel', '--out', out))
    expect(code).toBe(0)
    expect(text).toContain(
      'Not run: native TensorFlow must be the backend, got wasm (npx pmoe native provides it).',
    )
    const described = JSON.parse(await readFile(join(out, 'assets.extra', 'patch-moe.json'), 'utf8'))
    expect(JSON.parse(described.inputs).image.axes).toBe('batch,height,width,channels')
  })

  test('an export that answers otherwise is an error, and nothing is written', async () => {
    const out = join(root, 'wrong.onnx')
    ort.offset = 0.25
    const { code, err } = await callPmoe(exporting('--format', 'onnx', '--out', out))
    ort.offset = 0
    expect(code).toBe(1)
    expect(err).toMatch(
      /export: onnx must answer as the model does within 0\.0001, got a difference of 2\.5e-1 and another class for \d of 16 samples in ONNX Runtime/,
    )
    expect((await readdir(root)).filter(name => name.includes('wrong'))).toEqual([])
  })

  test('without ONNX Runtime it is written, and said not to be run', async () => {
    const out = join(root, 'unrun.onnx')
    ort.missing = 'ERR_MODULE_NOT_FOUND'
    const { code, out: text } = await callPmoe(exporting('--format', 'onnx', '--out', out))
    ort.missing = 'MODULE_NOT_FOUND'
    const broken = await callPmoe(exporting('--format', 'onnx', '--out', `${out}2`))
    ort.missing = ''
    expect(broken.out).toContain('Not run: ONNX Runtime does not load: no binary.')
    expect(code).toBe(0)
    expect(text).toContain('Not run: ONNX Runtime is not installed (npm install onnxruntime-node).')
    const asked = await callPmoe(exporting('--format', 'onnx', '--out', out, '--force', '--no-verify'))
    expect(asked.out).toContain('Not run: as asked for.')
  })

  test('what is there is kept unless forced, and a model of nowhere or of an unknown layer is an error', async () => {
    const out = join(root, 'taken.onnx')
    await writeFile(out, 'mine')
    const taken = await callPmoe(exporting('--format', 'onnx', '--out', out))
    expect(taken).toMatchObject({ code: 1 })
    expect(taken.err).toContain(`${out} must be new, got one that is there (replace it with --force)`)
    expect(await readFile(out, 'utf8')).toBe('mine')
    const nowhere = await callPmoe([
      'export',
      join(root, 'none'),
      '--format',
      'onnx',
      '--out',
      join(root, 'n'),
      ...wasm,
    ])
    expect(nowhere).toMatchObject({ code: 1 })
    const memory = join(root, 'memory')
    const layers = [tf.layers.lstm({ units: 2, inputShape: [3, 2], name: 'memory' })]
    await tf.sequential({ layers }).save(fileSystem(memory))
    const unknown = await callPmoe(['export', memory, '--format', 'onnx', '--out', join(root, 'n'), ...wasm])
    expect(unknown).toMatchObject({ code: 1 })
    expect(unknown.err).toMatch(
      /layer "memory" \(\d of \d layers\) must be of a kind that can be exported, got LSTM/,
    )
    expect(await readdir(root)).not.toContain('n')
  })

  test('wrong flags end with exit code 2', async () => {
    const out = ['--out', join(root, 'n')]
    expect(await callPmoe(['export', model, ...out])).toMatchObject({ code: 2 })
    expect(await callPmoe(['export', model, '--format', 'onnx'])).toMatchObject({ code: 2 })
    expect(await callPmoe(exporting('--format', 'caffe', ...out))).toMatchObject({ code: 2 })
    const layout = await callPmoe(exporting('--format', 'tfjs', '--layout', 'nchw', ...out))
    expect(layout).toMatchObject({ code: 2 })
    expect(layout.err).toContain('export: --layout must be used with onnx or savedmodel, got --format tfjs')
    const names = await callPmoe(exporting('--format', 'onnx', '--class-names', 'a,b', ...out))
    expect(names).toMatchObject({ code: 2 })
    expect(names.err).toContain('--class-names must name the 3 classes of')
  })
})

test('Ctrl-C leaves nothing behind', async () => {
  const out = join(root, 'stopped.onnx')
  ort.interrupt = true
  const { err } = await callPmoe(exporting('--format', 'onnx', '--out', out))
  ort.interrupt = false
  expect(process.exitCode).toBe(130)
  process.exitCode = undefined
  expect(err).toBe('Stopping; nothing is written ...\n')
  expect((await readdir(root)).filter(name => name.includes('stopped'))).toEqual([])
})

describe('what exports are compared on', () => {
  const constant = (values: number[][]): Runtime => ({
    name: 'constant',
    run: async () => values.map(output => Float32Array.from(output)),
    dispose: async () => {},
  })

  test('are pictures and noise, the same every time, in the order and type that is asked for', async () => {
    const tiny = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2, 3] })] })
    const [bytes] = await comparisonBytes(tiny)
    expect(bytes?.shape).toEqual([16, 2, 2, 3])
    expect((await comparisonBytes(tiny))[0]?.data).toEqual(bytes?.data)
    const one = { shape: [1, 1, 2, 3], data: Uint8Array.of(0, 51, 102, 153, 204, 255) }
    expect(fed(one, { layout: 'nchw', pixels: 'uint8' })).toEqual({
      shape: [1, 3, 1, 2],
      data: Uint8Array.of(0, 153, 51, 204, 102, 255),
    })
    expect([...fed(one, {}).data].map(value => value.toFixed(1))).toEqual([
      '0.0',
      '0.2',
      '0.4',
      '0.6',
      '0.8',
      '1.0',
    ])
    const pair = { shape: [2, 1], data: Float32Array.of(1, 2) }
    expect([...repeated(pair, 5).data]).toEqual([1, 2, 1, 2, 1])
  })

  test('are floats as they are for a model of floats, of both signs and of any number of channels', () => {
    const tiny = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [4, 1, 50] })] })
    const [floats] = comparisonFloats(tiny)
    expect(floats?.shape).toEqual([16, 4, 1, 50])
    expect(comparisonFloats(tiny)[0]?.data).toEqual(floats?.data)
    const data = [...(floats?.data ?? [])]
    expect(data).toHaveLength(3200)
    // Of N(0, 9), whose mean square lies within 4.5 deviations of 9.
    const square = data.reduce((sum, value) => sum + value ** 2, 0) / data.length
    expect(Math.abs(square / 9 - 1)).toBeLessThan(4.5 * Math.sqrt(2 / data.length))
    expect(data.filter(value => value < 0).length / data.length).toBeCloseTo(0.5, 1)
    const one = { shape: [1, 1, 2, 3], data: Float32Array.of(-4, 0.5, 3, 7, -0.25, 300) }
    expect(fed(one, {})).toEqual(one)
    expect(fed(one, { layout: 'nchw' })).toEqual({
      shape: [1, 3, 1, 2],
      data: Float32Array.of(-4, 7, 0.5, -0.25, 3, 300),
    })
    expect(repeated(one, 2).data).toEqual(Float32Array.of(...one.data, ...one.data))
  })

  test('differences and other classes are counted over all outputs', async () => {
    const inputs = [{ shape: [2, 1], data: Uint8Array.of(1, 2) }]
    const own = constant([
      [0.1, 0.9, 0.6, 0.4],
      [1, 2],
    ])
    const other = constant([
      [0.1, 0.9, 0.4, 0.6],
      [1, 2.5],
    ])
    expect(await compare(own, own, inputs, {})).toEqual({ samples: 2, difference: 0, otherClass: 0 })
    expect(await compare(own, other, inputs, {})).toEqual({ samples: 2, difference: 0.5, otherClass: 1 })
    const short = constant([
      [0.1, 0.9],
      [1, 2],
    ])
    expect((await compare(own, short, inputs, {})).difference).toBeNaN()
    const broken = constant([
      [Number.NaN, 0.9, 0.6, 0.4],
      [1, 2],
    ])
    expect((await compare(own, broken, inputs, {})).difference).toBeNaN()
  })

  test('latency takes turns, and ends when it is told to', async () => {
    const turns: string[] = []
    const recording = (name: string): Runtime => ({
      ...constant([]),
      run: async () => [turns.push(name)] as never,
    })
    const inputs = [{ shape: [1, 1], data: Uint8Array.of(1) }]
    const { signal } = new AbortController()
    const measured = await latency(recording('own'), recording('other'), inputs, {}, 4, signal)
    expect(measured.batch).toBe(4)
    expect(turns).toEqual(Array.from({ length: 8 }, () => ['own', 'other']).flat())
    const stopped = AbortSignal.abort(new Error('enough'))
    await expect(latency(recording('a'), recording('b'), inputs, {}, 1, stopped)).rejects.toThrow('enough')
  })
})
