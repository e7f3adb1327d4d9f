import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exportOnnx } from '../../src/export/onnx/onnx.js'
import { readImage } from '../../src/files/images/image-files.js'
import { predictProbabilities } from '../../src/train/evaluate.js'
import { useTestBackend } from '../backend-under-test.js'
import { runProcess } from '../child-processes.js'
import { smallModel } from './small-model.js'

const python = process.env.PMOE_TEST_PYTHON ?? 'python3'
const isReady = await runProcess(python, ['-c', 'import numpy, onnxruntime, PIL']).then(
  ({ code }) => code === 0,
  () => false,
)
if (!isReady) {
  console.log(
    `${python} has no onnxruntime, numpy and pillow (PMOE_TEST_PYTHON names another): the Python example is not run.`,
  )
}

describe.skipIf(!isReady)('the Python script of the examples', () => {
  let small: Awaited<ReturnType<typeof smallModel>>
  beforeAll(async () => {
    await useTestBackend()
    small = await smallModel()
  })
  afterAll(() => small && rm(small.root, { recursive: true, force: true }))

  test.each([
    { layout: 'nhwc', pixels: 'float32' },
    { layout: 'nchw', pixels: 'float32' },
    { layout: 'nhwc', pixels: 'uint8' },
  ] as const)('says of a network exported as %j what the network says', async feeding => {
    const classNames = ['red', 'green', 'blue']
    const { bytes } = await exportOnnx(small.model, { ...feeding, classNames, preprocessing: 'x / 255' })
    const path = join(small.root, `${feeding.layout}-${feeding.pixels}.onnx`)
    await writeFile(path, bytes)
    const script = fileURLToPath(new URL('../../examples/python/classify.py', import.meta.url))
    const { out, err, code } = await runProcess(python, [script, path, ...small.images])
    expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' })
    const pixels = await Promise.all(small.images.map(image => readImage(image, [16, 16, 3])))
    const rows = await predictProbabilities(small.model, new Uint8Array(Buffer.concat(pixels)), [16, 16, 3])
    const expected = rows.map((row, i) => {
      const best = row.indexOf(Math.max(...row))
      return `${small.images[i]}: ${classNames[best]} ${((row[best] ?? 0) * 100).toFixed(1)}%`
    })
    expect(out.trimEnd().split('\n')).toEqual(expected)
  })
})
