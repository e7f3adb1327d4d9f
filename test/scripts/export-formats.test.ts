import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { exportCommand } from '../../scripts/commands/exchange/export.js'
import type { ExportFormatEntry } from '../../scripts/run/export-formats/export-format.js'
import { exportFormat, exportFormats, formatNames } from '../../scripts/run/export-formats/export-formats.js'
import { fileSystem } from '../../src/files/model-files.js'
import { useTestBackend } from '../backend-under-test.js'

/** A format as somebody would add it: the weights of a single dense layer as JSON. */
const numbers: ExportFormatEntry = {
  title: 'numbers as JSON',
  unit: 'tensors',
  takesFeeding: true,
  reading: 'JSON.parse',
  async write(model, path) {
    const [kernel] = model.getWeights()
    const text = JSON.stringify(await kernel?.array())
    await writeFile(path, text)
    return { bytes: text.length, parts: { kernel: 1 } }
  },
  async load({ path }) {
    const kernel = JSON.parse(await readFile(path, 'utf8')) as number[][]
    const row = (values: readonly number[]) =>
      kernel[0]!.map((_, unit) => values.reduce((sum, value, i) => sum + value * kernel[i]![unit]!, 0))
    return {
      name: 'arithmetic',
      run: async ([input]) => {
        const {
          shape: [count = 0, width = 0],
          data,
        } = input!
        const rows = Array.from({ length: count }, (_, i) => [...data.subarray(i * width, (i + 1) * width)])
        return [Float32Array.from(rows.flatMap(row))]
      },
      dispose: async () => {},
    }
  },
}
const table = { ...exportFormats, numbers }

let root: string
let model: string
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-formats-'))
  model = join(root, 'model')
  const dense = tf.layers.dense({ units: 2, inputShape: [3], useBias: false })
  await tf.sequential({ layers: [dense] }).save(fileSystem(model))
})
afterAll(() => rm(root, { recursive: true }))

/** Runs the command with a table, and returns what it writes. */
async function exported(formats: typeof table, ...words: string[]): Promise<string> {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    const command = exportCommand(formats)
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
    await command.parseAsync([model, '--backend', 'wasm', ...words], { from: 'user' })
    return write.mock.calls.map(([text]) => text).join('')
  } finally {
    write.mockRestore()
  }
}

describe('a new export format', () => {
  test('is offered, written, run and compared with the model', async () => {
    const out = join(root, 'numbers.json')
    const text = await exported(table, '--format', 'numbers', '--out', out, '--pixels', 'float32', '--json')
    expect(JSON.parse(text)).toMatchObject({
      format: 'numbers',
      tensors: { kernel: 1 },
      verified: true,
      runtime: 'arithmetic',
      parity: { samples: 16, otherClass: 0 },
    })
    expect(JSON.parse(await readFile(out, 'utf8'))).toHaveLength(3)
  })

  test('is not written where it answers otherwise', async () => {
    const wrong = {
      ...numbers,
      write: async (_: unknown, path: string) => {
        await writeFile(path, '[[9,0],[0,9],[9,9]]')
        return { bytes: 0, parts: {} }
      },
    }
    const out = join(root, 'wrong.json')
    await expect(exported({ ...table, numbers: wrong }, '--format', 'numbers', '--out', out)).rejects.toThrow(
      /^export: numbers must answer as the model does within 0\.0001, got a difference of /,
    )
    expect(await readdir(root)).not.toContain('wrong.json')
  })

  test('stands in the help, with how it is read, and in the errors of other formats', async () => {
    const help = exportCommand(table).helpInformation().replace(/\s+/g, ' ')
    expect(help).toContain('tfjs and savedmodel are folders, onnx, weights and numbers files')
    expect(help).toContain('axes of images, onnx, savedmodel and numbers')
    await expect(
      exported(table, '--format', 'tfjs', '--out', join(root, 'n'), '--pixels', 'uint8'),
    ).rejects.toThrow('export: --pixels must be used with onnx, savedmodel or numbers, got --format tfjs')
    await expect(exported(table, '--format', 'caffe', '--out', join(root, 'n'))).rejects.toThrow(
      /Allowed choices are tfjs, onnx, savedmodel, weights, numbers/,
    )
  })
})

describe('the table of formats', () => {
  test('knows its names, and lists them where another is asked for', () => {
    expect(formatNames(exportFormats)).toEqual(['tfjs', 'onnx', 'savedmodel', 'weights'])
    expect(exportFormat('onnx').title).toBe('ONNX, opset 17')
    for (const name of ['caffe', 'toString']) {
      expect(() => exportFormat(name)).toThrow(
        new RangeError(`export: format must be one of tfjs, onnx, savedmodel, weights, got ${name}`),
      )
    }
  })

  test('knows a folder of each format that is one by its marker', async () => {
    expect(formatNames(exportFormats, ({ folder }) => folder !== undefined)).toEqual(['tfjs', 'savedmodel'])
    expect((await exportFormats.tfjs.folder?.())?.marker).toBe('model.json')
    expect((await exportFormats.savedmodel.folder?.())?.marker).toBe('saved_model.pb')
  })
})
