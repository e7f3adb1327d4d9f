import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { onnxInputs } from '../../../scripts/run/measuring/foreign-inputs.js'
import { onnxMessages } from '../../../src/export/onnx/messages.js'
import { encodeMessage } from '../../../src/export/protobuf-messages.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pmoe-inputs-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** An ONNX file with inputs alone: names, types, and sides, of which texts are of any length. */
async function fileOf(
  inputs: readonly (readonly [name: string, elemType: number, ...sides: (number | string)[]])[],
  more: object = {},
  constants: readonly string[] = [],
): Promise<string> {
  const input = inputs.map(([name, elemType, ...sides]) => {
    const dim = sides.map(side => (typeof side === 'number' ? { dimValue: side } : { dimParam: side }))
    return { name, type: { tensorType: { elemType, shape: { dim } } } }
  })
  const initializer = constants.map(name => ({ name, dims: [], dataType: 1, rawData: new Uint8Array(4) }))
  const path = join(folder, `${Math.random()}.onnx`)
  await writeFile(
    path,
    await encodeMessage(onnxMessages, 'ModelProto', { graph: { input, initializer }, ...more }),
  )
  return path
}

describe('onnxInputs', () => {
  it('reads shapes and types, and finds channels first where the file says or shows it', async () => {
    expect(await onnxInputs(await fileOf([['x', 1, 'batch', 32, 32, 3]]))).toEqual([
      { shape: [32, 32, 3], pixels: 'float32' },
    ])
    expect(await onnxInputs(await fileOf([['x', 2, 1, 3, 24, 32]]))).toEqual([
      { shape: [24, 32, 3], pixels: 'uint8', layout: 'nchw' },
    ])
    const inputs = JSON.stringify({ x: { axes: 'batch,channels,height,width' } })
    const metadataProps = [{ key: 'inputs', value: inputs }]
    expect(await onnxInputs(await fileOf([['x', 1, 'n', 16, 2, 3]], { metadataProps }))).toEqual([
      { shape: [2, 3, 16], pixels: 'float32', layout: 'nchw' },
    ])
    // Files of old versions list their constants among the inputs.
    expect(
      await onnxInputs(
        await fileOf(
          [
            ['w', 1, 3],
            ['x', 1, 'n', 7],
          ],
          {},
          ['w'],
        ),
      ),
    ).toEqual([{ shape: [7], pixels: 'float32' }])
  })

  it('refuses what cannot be fed, naming the input', async () => {
    await expect(onnxInputs(await fileOf([['x', 1, 'n', 'h', 'w', 3]]))).rejects.toThrow(
      /onnx: input x must be of fixed size but for the batch, got \[batch, any, any, 3\]$/,
    )
    await expect(onnxInputs(await fileOf([['ids', 7, 'n', 4]]))).rejects.toThrow(
      /onnx: input ids must be of float32 or uint8, got type 7 of ONNX$/,
    )
    await expect(onnxInputs(await fileOf([]))).rejects.toThrow(
      /onnx: must be an ONNX file of a network, got one without inputs$/,
    )
    const path = join(folder, 'text.onnx')
    await writeFile(path, 'no protobuf')
    await expect(onnxInputs(path)).rejects.toThrow(
      `${path}: must be an ONNX file, got 11 bytes that are not: `,
    )
  })
})
