import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { messageType } from '../../../src/export/protobuf-messages.js'
import { tensorflowMessages } from '../../../src/export/saved-model/messages.js'
import { exportSavedModel } from '../../../src/export/saved-model/saved-model.js'
import { useTestBackend } from '../../backend-under-test.js'
import { networkCases, trained } from '../exported-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

interface Node {
  readonly name: string
  readonly op: string
  readonly input?: readonly string[]
}

interface Decoded {
  readonly savedModelSchemaVersion: string
  readonly metaGraphs: readonly {
    readonly metaInfoDef: { readonly tags: readonly string[] }
    readonly graphDef: { readonly node: readonly Node[] }
    readonly signatureDef: Readonly<Record<string, object>>
  }[]
}

async function decoded(bytes: Uint8Array): Promise<Decoded> {
  const type = await messageType(tensorflowMessages, 'SavedModel')
  return type.toObject(type.decode(bytes), { longs: String }) as Decoded
}

test('the file has one graph to serve, with a batch of any length and names of the model', async () => {
  const { bytes, metadata } = await exportSavedModel(networkCases[2]!.build(), {
    layout: 'nchw',
    pixels: 'uint8',
    classNames: ['a', 'b', 'c', 'd'],
  })
  const { savedModelSchemaVersion, metaGraphs } = await decoded(bytes)
  expect(savedModelSchemaVersion).toBe('1')
  expect(metaGraphs).toHaveLength(1)
  expect(metaGraphs[0]?.metaInfoDef.tags).toEqual(['serve'])
  const size = (sides: number[]) => ({ dim: sides.map(side => ({ size: String(side) })) })
  expect(metaGraphs[0]?.signatureDef).toEqual({
    serving_default: {
      methodName: 'tensorflow/serving/predict',
      inputs: { image: { name: 'serving_default_image:0', dtype: 4, tensorShape: size([-1, 3, 32, 32]) } },
      outputs: { probabilities: { name: 'probabilities_output:0', dtype: 1, tensorShape: size([-1, 4]) } },
    },
  })
  expect(JSON.parse(metadata.classes ?? '')).toEqual(['a', 'b', 'c', 'd'])
  expect(JSON.parse(metadata.inputs ?? '').image.dtype).toBe('uint8')
})

test('every input of an operation comes before it, names differ without their case, BatchNorm is folded', async () => {
  for (const { build } of networkCases) {
    const { bytes, operations } = await exportSavedModel(trained(build()))
    const nodes = (await decoded(bytes)).metaGraphs[0]?.graphDef.node ?? []
    const seen = new Set<string>()
    for (const { name, input = [] } of nodes) {
      for (const source of input) expect(seen).toContain(source.replace(/:\d+$/, '').toLowerCase())
      expect(seen).not.toContain(name.toLowerCase())
      seen.add(name.toLowerCase())
    }
    expect(Object.keys(operations).filter(op => op.includes('BatchNorm'))).toEqual([])
  }
})

test('the mixture stays sparse: one choice, gathered and scattered', async () => {
  const { operations } = await exportSavedModel(networkCases[4]!.build())
  expect(operations).toMatchObject({ TopKV2: 1, ScatterNd: 1 })
  expect(operations).not.toHaveProperty('SelectV2')
})

test('where only the mean of a mixture is read, kept patches are summed and no map is made', async () => {
  const { operations } = await exportSavedModel(networkCases[2]!.build())
  expect(operations).toMatchObject({ TopKV2: 1 })
  expect(operations).not.toHaveProperty('ScatterNd')
})

test('narrow numbers other than float16 are refused', async () => {
  const model = networkCases[0]!.build()
  const ranges = { image: [0, 1] } as unknown as 'float16'
  await expect(exportSavedModel(model, { quantize: ranges })).rejects.toThrow(
    'exportSavedModel: quantize must be float16, got object',
  )
})

test('too many weights are refused', async () => {
  const huge = { name: 'huge', countParams: () => 6e8 } as unknown as tf.LayersModel
  await expect(exportSavedModel(huge)).rejects.toThrow(
    'exportSavedModel: weights must take at most 2147483647 bytes, got 2400000000 (huge)',
  )
})
