import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { patchExperts } from '../../../src/layers/moe/patch-experts.js'
import { patchGate } from '../../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { sampleMoE } from '../../../src/layers/moe/sample-moe.js'
import { twoLayerExperts } from '../../../src/layers/moe/two-layer-experts.js'
import { random } from '../../../src/random.js'

/** A layer of a mixture, and the shape of what it is given. */
export interface LayerCase {
  readonly name: string
  readonly shape: readonly number[]
  /** Whether it has no derivative by its input. */
  readonly isFirst?: boolean
  make(): tfl.layers.Layer
}

const sizes = [
  { patchSize: 2, kernelSize: 3 },
  { patchSize: 4, kernelSize: 1 },
  { patchSize: [2, 4], kernelSize: [3, 5] },
  { patchSize: 1, kernelSize: 3 },
] as const

/** Every gate, border, pre-activation and some sizes of patches and kernels. */
export const patchMoECases: readonly LayerCase[] = (
  ['softmax-selected', 'softmax-all', 'uniform'] as const
).flatMap(gate =>
  (['zero', 'halo'] as const).flatMap(border =>
    (['none', 'relu', 'batch-norm-relu'] as const).flatMap(preActivation =>
      sizes.map(size => ({
        name: `PatchMoE ${JSON.stringify({ gate, border, preActivation, ...size })}`,
        shape: [2, 8, 8, 5],
        make: () =>
          patchMoE({
            numExperts: 3,
            patchesPerExpert: 3,
            filters: 12,
            gate,
            border,
            preActivation,
            ...size,
          } as Parameters<typeof patchMoE>[0]),
      })),
    ),
  ),
)

/** The other layers of mixtures. */
export const otherCases: readonly LayerCase[] = [
  {
    name: 'PatchGate',
    shape: [2, 8, 8, 5],
    make: () => patchGate({ patchesPerExpert: 3, patchSize: 2 }),
  },
  {
    name: 'TwoLayerExperts',
    shape: [2, 8, 8, 1],
    make: () =>
      twoLayerExperts({ numExperts: 2, patchesPerExpert: 3, patchSize: 4, hiddenUnits: 8, outputs: 2 }),
  },
  {
    name: 'SampleMoE',
    shape: [4, 8, 8, 2],
    make: () => sampleMoE({ numExperts: 3, filtersPerOutput: 4, outputs: 2, patchSize: 2, seed: 3 }),
  },
  {
    name: 'PatchExperts',
    shape: [2, 16, 16, 1],
    isFirst: true,
    make: () =>
      patchExperts({ cellSize: 4, viewScale: 2, numExperts: 2, patchesPerExpert: 3, expert: smallExpert }),
  },
]

function smallExpert(patchShape: readonly number[]): tfl.LayersModel {
  const patch = tfl.input({ shape: [...patchShape] })
  const map = tfl.layers
    .conv2d({ filters: 6, kernelSize: 3, strides: 2, activation: 'relu' })
    .apply(patch) as tfl.SymbolicTensor
  const features = tfl.layers.globalAveragePooling2d({}).apply(map) as tfl.SymbolicTensor
  return tfl.model({ inputs: patch, outputs: features })
}

/**
 * What a layer answers in training, and all derivatives of a weighted sum of its answers: by its input where it has one, then by its
 * weights. Inputs and weights are the same for every backend.
 */
export async function answersOf({ shape, isFirst, make }: LayerCase): Promise<Float32Array[]> {
  const layer = make()
  layer.build([null, ...shape.slice(1)])
  for (const [i, weight] of layer.weights.entries()) {
    const isScale = weight.originalName.includes('gamma')
    const sides = weight.shape as number[]
    const values = numbers(tf.util.sizeFromShape(sides), 100 + i).map(value =>
      isScale ? Math.abs(value) + 0.5 : value,
    )
    ;(weight.read() as tf.Variable).assign(tf.tensor(values, sides))
  }
  const x = tf.tensor(numbers(tf.util.sizeFromShape([...shape]), 7), [...shape])
  const answer = (input: tf.Tensor) => layer.apply(input, { training: true }) as tf.Tensor
  const outputs = answer(x)
  const dy = tf.tensor(numbers(outputs.size, 8), outputs.shape)
  const weighted = (input: tf.Tensor) => tf.sum(tf.mul(answer(input), dy)) as tf.Scalar
  const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
  const { grads } = tf.variableGrads(() => weighted(x), variables)
  const tensors = [
    outputs,
    ...(isFirst ? [] : [tf.grad(weighted)(x)]),
    ...variables.map(({ name }) => grads[name] as tf.Tensor),
  ]
  const values: Float32Array[] = []
  for (const tensor of tensors) values.push((await tensor.data()) as Float32Array)
  tf.dispose([x, dy, ...tensors])
  tf.dispose(layer.weights.map(weight => weight.read()))
  return values
}

function numbers(count: number, seed: number): Float32Array {
  const chance = random(seed)
  return Float32Array.from({ length: count }, () => chance.normal())
}

/** Images whose class is where they are bright. */
export function brightQuarters(count: number, [height, width, channels]: [number, number, number]) {
  const chance = random(1)
  const labels = Int32Array.from({ length: count }, (_, i) => i % 4)
  const images = new Uint8Array(count * height * width * channels)
  for (let i = 0; i < images.length; i++) {
    const pixel = Math.floor(i / channels)
    const row = Math.floor(pixel / width) % height
    const quarter = 2 * Math.floor((2 * row) / height) + Math.floor((2 * (pixel % width)) / width)
    const isBright = quarter === labels[Math.floor(pixel / (height * width))]
    images[i] = Math.max(0, Math.min(255, (isBright ? 180 : 70) + 40 * chance.normal()))
  }
  return {
    images,
    labels,
    count,
    shape: [height, width, channels] as const,
    classNames: ['a', 'b', 'c', 'd'],
  }
}
