import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { explain } from '../../../src/explain/explain.js'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
import { forInference } from '../../../src/inference/for-inference.js'
import { frozenClassifier } from '../../../src/inference/frozen-classifier.js'
import { routedModel } from '../../../src/models/routed-model.js'
import { sampleExpertsModel } from '../../../src/models/sample-experts.js'
import { sampleMoEModel } from '../../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { type CheckpointStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import { evaluate, predictProbabilities } from '../../../src/train/evaluate.js'
import { train } from '../../../src/train/loop.js'
import { measureRouting } from '../../../src/train/routing/routing-summary.js'
import { brightQuarters } from './layer-cases.js'

/*
 * A device hands numbers out later: asking for them at once fails in Node, and in a page it loses a device in software. Here
 * WebAssembly computes under the name webgpu, so that numbers are right and no device is needed, and no tensor answers at once.
 */
beforeAll(async () => {
  await useBackend('wasm')
  const wasm = tf.backend()
  tf.registerBackend('webgpu', () => wasm)
  tf.copyRegisteredKernels('wasm', 'webgpu')
  expect(await tf.setBackend('webgpu')).toBe(true)
  for (const name of ['dataSync', 'arraySync'] as const) {
    vi.spyOn(tf.Tensor.prototype, name).mockImplementation(() => {
      throw new Error(`${name} was called`)
    })
  }
})
afterAll(() => {
  vi.restoreAllMocks()
})

const pmoe = { numExperts: 2, patchesPerExpert: 2, patchSize: 1 } as const
const shape = [16, 16, 3] as const
const images = brightQuarters(8, [...shape])

const models: Readonly<Record<string, () => tfl.LayersModel>> = {
  'two-layer pMoE': () =>
    twoLayerPatchModel({
      ...{ inputShape: shape, numClasses: 4, patchSize: 4 },
      ...{ numExperts: 2, patchesPerExpert: 2, hiddenUnits: 4 },
    }),
  'dense WRN': () => wideResNet({ inputShape: shape, numClasses: 4, depth: 10, widenFactor: 1 }),
  'WRN-pMoE': () => wideResNet({ inputShape: shape, numClasses: 4, depth: 10, widenFactor: 1, pmoe }),
  'masked WRN': () =>
    wideResNet({ inputShape: shape, numClasses: 4, depth: 10, widenFactor: 1, pmoe, variant: 'authors' }),
  'sample-level MoE': () => sampleMoEModel({ inputShape: shape, patchSize: 4, numExperts: 3, numClasses: 4 }),
  'networks as experts of samples': () =>
    sampleExpertsModel({ inputShape: shape, numExperts: 3, filters: 2, numClasses: 4 }),
  'network of regions': () =>
    routedModel({
      ...{ imageShape: shape, numClasses: 4, cellSize: 4, viewScale: 2 },
      ...{ numExperts: 1, patchesPerExpert: 3 },
    }).imageModel(),
}

describe('without asking the device for numbers at once', () => {
  test.each(Object.keys(models))(
    'a %s trains, goes on, evaluates, predicts, explains and is exported',
    async name => {
      const model = (models[name] as () => tfl.LayersModel)()
      const stored = new Map<string, Uint8Array>()
      const checkpoints: CheckpointStore = {
        read: async key => stored.get(key),
        write: async (key, bytes) => void stored.set(key, bytes),
      }
      const options = {
        ...{ train: images, test: images, epochs: 1, batchSize: 4, seed: 1, checkpoints },
        ...{ routingMetrics: true, emaDecay: 0.9, optimizer: { name: 'adamw', learningRate: 0.01 } as const },
      }
      expect(tf.getBackend()).toBe('webgpu')
      const types: string[] = []
      for await (const { type } of train(model, options)) types.push(type)
      expect(types.at(-1)).toBe('end')
      const resume = readCheckpoint([...stored.values()][0] as Uint8Array, 'the checkpoint')
      for await (const { type } of train(model, { ...options, epochs: 2, resume })) types.push(type)
      expect(types.filter(type => type === 'epoch')).toHaveLength(2)
      expect((await evaluate(model, images, { batchSize: 4 })).loss).toEqual(expect.any(Number))
      expect(await predictProbabilities(model, images.images, shape)).toHaveLength(8)
      await measureRouting(model, images)
      const explained = await explain(model, images.images.slice(0, 768), [...shape])
      expect(explained.images).toHaveLength(1)
      const frozen = await forInference(model, { routes: true })
      const x = tf.div(tf.tensor(images.images, [8, ...shape]), 255)
      const { outputs } = frozen.predictWithRoutes(x)
      const should = await (model.predict(x) as tf.Tensor).data()
      const are = await (outputs[0] as tf.Tensor).data()
      expect(are.length).toBe(32)
      are.forEach((value, i) => {
        expect(value).toBeCloseTo(should[i] as number, 4)
      })
      frozen.dispose()
      const classifier = await frozenClassifier(model, { routes: true })
      expect(await predictProbabilities(model, images.images, shape, { frozen: classifier })).toHaveLength(8)
      expect((await exportOnnx(model)).bytes.length).toBeGreaterThan(500)
      const info = { dateSaved: new Date(0), modelTopologyType: 'JSON' } as const
      const save = vi.fn(async (_: tf.io.ModelArtifacts) => ({ modelArtifactsInfo: info }))
      await model.save({ save })
      const [[artifacts]] = save.mock.calls as [[tf.io.ModelArtifacts]]
      expect((artifacts.weightData as ArrayBuffer).byteLength).toBeGreaterThan(200)
    },
  )
})
