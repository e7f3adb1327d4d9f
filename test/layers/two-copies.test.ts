import { createRequire } from 'node:module'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { batchNormalization } from '../../src/layers/batch-norm.js'
import { convolution } from '../../src/layers/convolution.js'
import { globalAveragePooling2d } from '../../src/layers/global-average-pooling.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { relu } from '../../src/layers/relu.js'
import { residualAdd } from '../../src/layers/residual-add.js'
import { planPatchMoE } from '../../src/models/plan-patch-moe.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

type TensorFlow = typeof tf

/** Loads modules of TensorFlow.js a second time. */
function secondCopy(...names: readonly string[]): TensorFlow[] {
  const require = createRequire(import.meta.url)
  const paths = names.map(name => require.resolve(name))
  const first = paths.map(path => require.cache[path])
  for (const path of paths) delete require.cache[path]
  try {
    return names.map(name => require(name) as TensorFlow)
  } finally {
    for (const [i, path] of paths.entries()) if (first[i]) require.cache[path] = first[i]
  }
}

/** Layers of both copies would count their automatic names from 1. */
let made = 0

const mixture = { numExperts: 2, patchesPerExpert: 2, patchSize: 2 } as const
const layers: Readonly<Record<string, () => tf.layers.Layer>> = {
  PatchMoE: () => patchMoE({ ...mixture, filters: 4 }),
  PatchGate: () => patchGate({ patchesPerExpert: 2, patchSize: 2 }),
  TwoLayerExperts: () => twoLayerExperts({ ...mixture, hiddenUnits: 4, outputs: 2 }),
  BatchNormalization: () => batchNormalization({ name: `ours_${made++}` }),
  Conv2D: () => convolution({ filters: 4, kernelSize: 1, name: `ours_${made++}` }),
  GlobalAveragePooling2D: () => globalAveragePooling2d(),
  ReLU: () => relu(),
}
const said = (className: string) =>
  `${className}: TensorFlow.js must be loaded once, got two copies: the input belongs to another one than ` +
  `patch-moe's (@tensorflow/tfjs-core ${tf.version_core}). Give every package the same version of it; ` +
  "'npm ls @tensorflow/tfjs-core' lists the copies"

describe('two copies of TensorFlow.js', () => {
  it.each(Object.entries(layers))('are named by %s in a model of the other copy', (className, make) => {
    const [other] = secondCopy('@tensorflow/tfjs-layers') as [TensorFlow]
    const model = other.sequential()
    model.add(
      other.layers.conv2d({
        inputShape: [4, 4, 3],
        filters: 4,
        kernelSize: 3,
        padding: 'same',
        name: `theirs_${made++}`,
      }),
    )
    expect(() => model.add(make())).toThrow(said(className))
  })

  it('are named by a layer of two inputs', () => {
    const [other] = secondCopy('@tensorflow/tfjs-layers') as [TensorFlow]
    const input = other.input({ shape: [4, 4, 3] })
    expect(() => residualAdd().apply([input, input])).toThrow(said('Add'))
  })

  it('are named where tensors come from the other core', () => {
    const [core] = secondCopy('@tensorflow/tfjs-core') as [TensorFlow]
    const x = Object.setPrototypeOf(tf.zeros([1, 4, 4, 3]), core.Tensor.prototype) as tf.Tensor
    expect(x instanceof tf.Tensor).toBe(true)
    for (const [className, make] of Object.entries(layers)) {
      expect(() => make().apply(x)).toThrow(said(className))
    }
  })

  it('are named where a model of the other copy is planned', () => {
    const [other] = secondCopy('@tensorflow/tfjs-layers') as [TensorFlow]
    const model = other.sequential({
      layers: [
        other.layers.conv2d({
          inputShape: [4, 4, 3],
          filters: 4,
          kernelSize: 3,
          padding: 'same',
          name: `theirs_${made++}`,
        }),
      ],
    })
    expect(() => planPatchMoE(model)).toThrow(said('modelCost'))
  })

  it('are not suspected of inputs that are no tensors', () => {
    expect(() => relu().apply([1, 2] as never)).not.toThrow(/two copies/)
  })
})
